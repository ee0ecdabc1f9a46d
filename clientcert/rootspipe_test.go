//go:build unix

package clientcert_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// To open a pipe waits for its writer, who may never come: every request would wait with it.
func TestRootsFileIsPipe(t *testing.T) {
	ca := popauthtest.NewCA(t)
	path := filepath.Join(t.TempDir(), "ca.crt")
	pipe := func() {
		t.Helper()
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	within := func(what string, f func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: waits for the pipe's writer", what)
			if w, err := os.OpenFile(path, os.O_RDWR, 0); err == nil { // lets it go
				_ = w.Close()
			}
			<-done
		}
	}
	pipe()
	within("at start", func() {
		if _, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{}); err == nil || !strings.Contains(err.Error(), "regular") {
			t.Errorf("got %v, want a regular file", err)
		}
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newRootsLab(t, path, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	pipe()
	within("later", func() { l.want(time.Second, ca.Client("a"), "") })
	if got := l.log.String(); !strings.Contains(got, "regular file") {
		t.Errorf("got %q, want a regular file", got)
	}
}
