package clientcert_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A file is another one by its place on the disk, its size or its time, and by any of them alone. A young time tells nothing.
func TestRootsFileToldApart(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	ofA, ofB := a.Client("a"), b.Client("b")
	padded := func(content []byte) []byte {
		return append(slices.Clone(content), bytes.Repeat([]byte("\n"), 4000-len(content))...)
	}
	young := time.Now().Add(time.Minute) // however long the test takes
	old := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name    string
		content []byte // that takes the place of a's
		anew    bool   // in another file, that is renamed
		before  time.Time
		after   time.Time
	}{
		{name: "another file", content: padded(b.PEM()), anew: true, before: old, after: old},
		{name: "another size", content: b.PEM(), before: old, after: old},
		{name: "another time", content: padded(b.PEM()), before: old, after: old.Add(time.Second)},
		{name: "within a tick", content: padded(b.PEM()), before: young, after: young},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ca.crt")
			write := func(content []byte, anew bool, at time.Time) {
				t.Helper()
				name := path
				if anew {
					name += ".new"
				}
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(name, at, at); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(name, path); err != nil {
					t.Fatal(err)
				}
			}
			write(padded(a.PEM()), false, tt.before)
			l := newRootsLab(t, path, 0)
			l.want(0, ofA, "")
			write(tt.content, tt.anew, tt.after)
			l.want(time.Second, ofA, popauth.ErrCertificateUntrusted)
			l.want(0, ofB, "")
		})
	}
	// What is known of the file is that of what was read last.
	t.Run("back to what it was", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ca.crt")
		write := func(content []byte, at time.Time) {
			t.Helper()
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
		write(padded(a.PEM()), old)
		l := newRootsLab(t, path, 0)
		write(padded(b.PEM()), time.Now())
		l.want(time.Second, ofB, "")
		write(padded(a.PEM()), old)
		l.want(time.Second, ofA, "")
		l.want(0, ofB, popauth.ErrCertificateUntrusted)
	})
}
