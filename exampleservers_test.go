package popauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What an example's server has to say: without it a connection that says nothing stays for ever.
var serverTimeouts = []string{"ReadHeaderTimeout", "IdleTimeout"}

// Each http.Server of the examples, and each in a comment or a page, bounds how long a connection may say nothing.
func TestExampleServersBoundIdleConnections(t *testing.T) {
	servers := 0
	examine := func(where string, fields map[string]bool) {
		servers++
		for _, name := range serverTimeouts {
			if !fields[name] {
				t.Errorf("%s: an http.Server without %s", where, name)
			}
		}
	}
	inText := regexp.MustCompile(`http\.Server\{([^}]*)\}`)
	named := regexp.MustCompile(`(\w+):`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || entry.IsDir() {
			return err
		}
		source := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
		if !source && !strings.HasSuffix(path, ".md") {
			return nil
		}
		if source && strings.HasPrefix(path, "examples") {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if fields, ok := serverLiteral(n); ok {
					examine(set.Position(n.Pos()).String(), fields)
				}
				return true
			})
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this repository
		if err != nil {
			return err
		}
		if source {
			text = comments(text)
		}
		for _, found := range inText.FindAllSubmatch(text, -1) {
			fields := map[string]bool{}
			for _, name := range named.FindAllSubmatch(found[1], -1) {
				fields[string(name[1])] = true
			}
			examine(path, fields)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if servers < 8 {
		t.Errorf("got %d servers, want those of the examples", servers)
	}
}

func serverLiteral(n ast.Node) (fields map[string]bool, ok bool) {
	literal, ok := n.(*ast.CompositeLit)
	if !ok {
		return nil, false
	}
	of, ok := literal.Type.(*ast.SelectorExpr)
	if !ok || of.Sel.Name != "Server" {
		return nil, false
	}
	if in, ok := of.X.(*ast.Ident); !ok || in.Name != "http" {
		return nil, false
	}
	fields = map[string]bool{}
	for _, e := range literal.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok {
				fields[key.Name] = true
			}
		}
	}
	return fields, true
}

// comments are the lines of a source that are nothing else.
func comments(text []byte) []byte {
	var all []string
	for line := range strings.Lines(string(text)) {
		if trimmed, ok := strings.CutPrefix(strings.TrimSpace(line), "//"); ok {
			all = append(all, trimmed)
		}
	}
	return []byte(strings.Join(all, "\n"))
}
