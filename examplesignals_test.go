package popauth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every example that waits for a signal ends by the one of init systems and containers as well, and cleans up.
func TestExamplesEndBySIGTERM(t *testing.T) {
	found := 0
	err := filepath.WalkDir("examples", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "signal.Notify") {
				found++
				if !strings.Contains(line, "syscall.SIGTERM") {
					t.Errorf("%s: got %s, want syscall.SIGTERM as well", path, strings.TrimSpace(line))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 8 {
		t.Errorf("found %d examples that wait for a signal, want all of them", found)
	}
}
