// Package pages_test holds the code of README.md, of pages in docs and of popclient's page to what compiles and runs here.
package pages_test

import (
	"os"
	"strings"
	"testing"
)

// unindented is code without what a function around it, or a comment, adds to its lines.
func unindented(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(strings.TrimPrefix(lines[i], "//"), " \t")
	}
	return strings.Join(lines, "\n")
}

// blocks are the pieces of Go on a page. The one for nginx and proofs is held to its own in examples/proxies.
func blocks(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for i, piece := range strings.Split(string(text), "```go\n") {
		if code, _, ok := strings.Cut(piece, "```"); ok && i > 0 && !strings.HasPrefix(code, "// as clients call the API") {
			all = append(all, code)
		}
	}
	return all
}

// The README's pieces of Go are whole programs, to the letter those in readme, which are compiled and run: who pastes one adds nothing.
func TestREADME(t *testing.T) {
	all := blocks(t, "../../README.md")
	files := []string{"readme/api/main.go", "readme/api/main_test.go"}
	if len(all) != len(files) {
		t.Fatalf("got %d pieces of Go, want %d", len(all), len(files))
	}
	for i, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if all[i] != string(want) {
			t.Errorf("got this, which isn't %s:\n%s", file, all[i])
		}
	}
}

func TestPages(t *testing.T) {
	var code string
	for _, name := range []string{"code_test.go", "proxies_test.go", "forwardauth_test.go"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// A page has an ellipsis in place of what is done about an error.
		code += strings.ReplaceAll(unindented(unindented(string(source))), "…\ncheck(err)\n", "…\n")
	}
	for page, want := range map[string]int{
		"../../docs/fapi.md": 2, "../../docs/proxies.md": 5, "../../docs/routers.md": 2, "../../docs/forwardauth.md": 1,
	} {
		all := blocks(t, page)
		if len(all) != want {
			t.Errorf("%s: got %d pieces of Go, want %d", page, len(all), want)
		}
		for _, block := range all {
			if !strings.Contains(code, unindented(unindented(block))) {
				t.Errorf("%s: no file here has this, which shows that it compiles:\n%s", page, block)
			}
		}
	}
	doc, err := os.ReadFile("../../popclient/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "//\tconst server")
	block, _, ok := strings.Cut("const server"+block, "\n//\n")
	block = strings.ReplaceAll(unindented(block), "return err\n", "return nil, err\n")
	if !ok || !strings.Contains(code, unindented(block)) {
		t.Errorf("popclient/doc.go: this isn't in code_test.go:\n%s", block)
	}
}
