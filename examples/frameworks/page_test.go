// Package frameworks holds the page about frameworks to the files that it shows.
package frameworks

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const page = "../../docs/frameworks.md"

var link = regexp.MustCompile(`\]\(\.\./examples/frameworks/([a-z0-9]+/[a-z]+\.go)\)`)

// Every piece of code on the page stands in one of the files that its section links to, and every framework has a section.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		var files []string
		for _, m := range link.FindAllStringSubmatch(section, -1) {
			file, err := os.ReadFile(m[1])
			if err != nil {
				t.Fatalf("%s: %v", title, err)
			}
			files = append(files, string(file))
			linked[m[1]] = true
		}
		blocks := strings.Split(section, "```go\n")[1:]
		if len(files) > 0 && len(blocks) == 0 {
			t.Errorf("%s: got no code, want some of its files", title)
		}
		for _, block := range blocks {
			code, _, _ := strings.Cut(block, "```")
			if !slices.ContainsFunc(files, func(file string) bool { return stands(file, code) }) {
				t.Errorf("%s: this stands in none of the files that the section links to; copy it from there anew:\n%s", title, code)
			}
		}
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "\nfunc Routes(") &&
			!linked[filepath.ToSlash(file)] {
			t.Errorf("%s: got no link from %s, want one (%v)", file, page, err)
		}
	}
}

// stands tells whether code is whole lines of file, maybe indented there.
func stands(file, code string) bool {
	indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(code, "\t$1")
	return strings.Contains("\n"+file, "\n"+code) || strings.Contains("\n"+file, "\n"+indented)
}
