package decisions_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every event that a package logs is in docs/observability.md, word for word: people search for the line that they see.
func TestLogEventsDocumented(t *testing.T) {
	t.Chdir("../..")
	page, err := os.ReadFile("docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?:\.(?:Debug|Info|Warn|Error)\(|\.(?:\w+Context|LogAttrs)\([^"\n]*, |` +
		`journal\.add\(slog\.\w+, )"([^"]+)"(\+\w)?`)
	events := 0
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch path {
			case ".git", "bench", "cmd", "examples", filepath.Join("internal", "lab"), "interop", "tests", "popauthtest":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			events++
			want := "| `" + m[1] + "`"
			if m[2] != "" { // what follows is known only when it runs
				want = "| `" + m[1]
			}
			if !strings.Contains(string(page), want) {
				t.Errorf("%s logs %q, which has no row in docs/observability.md", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if events < 8 {
		t.Errorf("found %d events: got fewer than there are", events)
	}
}
