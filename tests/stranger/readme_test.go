package stranger_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// The README's program and its test compile as they are pasted, and the test passes.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(published.tree, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pieces := strings.Split(string(text), "```go\n")[1:]
	if len(pieces) != 2 {
		t.Fatalf("got %d pieces of Go, want a program and its test", len(pieces))
	}
	d := module(t)
	d.get(release.Root)
	for i, name := range []string{"main.go", "main_test.go"} {
		code, _, _ := strings.Cut(pieces[i], "```")
		d.file(name, code)
	}
	d.run("go", "vet", ".")
	d.run("go", "build", "-o", "program", ".")
	d.run("go", "test", "-count=1", ".")
}
