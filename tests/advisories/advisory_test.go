package advisories_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// The tests of the advisory files are named for an attack, and their subtests for published advisories about it.
// testdata/advisories.jsonl says which test holds which advisory, or why none does.

func TestAdvisoryIndex(t *testing.T) {
	data, err := os.ReadFile("testdata/advisories.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	tests, rows := testsOf(t), 0
	seen := map[string]bool{}
	for line := range bytes.Lines(data) {
		var row struct {
			IDs    []string `json:"ids"`
			Fault  string   `json:"fault"`
			Test   string   `json:"test"`
			WhyNot string   `json:"why_not"`
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&row); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		rows++
		name, sub, _ := strings.Cut(row.Test, "/")
		switch {
		case row.Fault == "":
			t.Errorf("%v: no fault", row.IDs)
		case (row.Test == "") == (row.WhyNot == ""):
			t.Errorf("%v: needs a test or a reason", row.IDs)
		case row.Test != "" && tests[name] == nil:
			t.Errorf("%v: there is no %s", row.IDs, name)
		case sub != "" && !tests[name][sub]:
			t.Errorf("%v: %s has no subtest %q", row.IDs, name, sub)
		}
		for _, id := range row.IDs {
			if seen[id] {
				t.Errorf("%s: twice", id)
			}
			seen[id] = true
		}
	}
	if rows != 167 {
		t.Errorf("got %d rows, want 167", rows)
	}
}

// testsOf returns the tests of the whole repository, each with the string literals in it: among them are its subtests' names.
func testsOf(t *testing.T) map[string]map[string]bool {
	t.Helper()
	tests := map[string]map[string]bool{}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") || strings.Contains(name, "node_modules") {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return err
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Test") && !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			literals := tests[fn.Name.Name] // of a test of the same name elsewhere
			if literals == nil {
				literals = map[string]bool{}
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					s, _ := strconv.Unquote(l.Value)
					literals[s] = true
				}
				return true
			})
			tests[fn.Name.Name] = literals
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func unsigned(string) []byte { return nil }

func onlyAlgorithms(names ...string) func(*popauth.Options) {
	return func(o *popauth.Options) { o.Algorithms = slices.Clone(names) }
}
