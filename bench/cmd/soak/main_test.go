//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-171ab058/popauth/bench/soak"
	"github.com/seed-171ab058/popauth/internal/counterpart"
)

func TestMain(m *testing.M) {
	soak.Child()
	os.Exit(m.Run())
}

// What is printed is the page, and a last line.
func TestRun(t *testing.T) {
	if _, _, err := soak.Programs(); err != nil {
		counterpart.Missing(t, err)
	}
	name := filepath.Join(t.TempDir(), "soak.md")
	var out bytes.Buffer
	args := []string{"-for", "3s", "-every", "1s", "-rate", "50", "-faults", "nginx reloaded every 2 s", "-write", name}
	if err := run(t.Context(), args, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last, ok := bytes.CutPrefix(out.Bytes(), page)
	if !ok || bytes.Count(bytes.TrimSpace(last), []byte("\n")) != 0 || len(bytes.TrimSpace(last)) == 0 {
		t.Errorf("what is printed is not the page and a line: %q follows", last)
	}
	for _, args := range [][]string{{"-for", "1s"}, {"-faults", "sunshine"}} {
		if err := run(t.Context(), args, &out, t.Output()); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
}
