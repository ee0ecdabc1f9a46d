package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

func need(t *testing.T) {
	t.Helper()
	if _, err := proxies.Find("nginx"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func TestTable(t *testing.T) {
	need(t)
	var out bytes.Buffer
	if err := run(t.Context(), &out, false); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"401 invalid_token", "token bound to another certificate",
		"connection of the proxy, but not its secret"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestMissing(t *testing.T) {
	err := explained(fmt.Errorf("nginx: %w", proxies.ErrMissing))
	if want := "nginx: not installed: this example needs nginx"; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

// The commands that -serve prints are run as they stand.
func TestServe(t *testing.T) {
	need(t)
	for _, program := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	printed := writer(make(chan string, 1000))
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, printed, true)
		close(printed)
	}()
	status, ran := "", 0
	for text := range printed {
		for line := range strings.Lines(text) {
			if after, ok := strings.CutPrefix(line, "# "); ok {
				_, status, _ = strings.Cut(strings.TrimSpace(after), ": ")
			}
			if !strings.HasPrefix(line, "curl ") {
				continue
			}
			ran++
			got, err := exec.Command("bash", "-c", line).CombinedOutput()
			if err != nil || !strings.Contains(string(got), " "+status+" ") {
				t.Errorf("%swant %s, got %v\n%s", line, status, err, got)
			}
		}
		if ran == 2 {
			stop()
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if ran != 2 {
		t.Errorf("got %d commands, want 2", ran)
	}
}

type writer chan string

func (w writer) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}
