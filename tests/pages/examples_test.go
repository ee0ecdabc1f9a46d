package pages_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// packages are those that others import, by directory.
var packages = []string{
	".", "clientauth", "clientcert", "dpop", "forwardauth", "introspection", "issuers", "mcpsession", "otelpopauth", "popauthtest",
	"popclient", "proxy", "redisreplay", "revocation",
}

// received are types that popauth makes, and gives to whoever implements an interface or asks.
var received = []string{
	"./Binding", "./Decision", "./Presentation", "proxy/Presented",
}

// Who constructs a type sees how, in an example that go test runs: it names the type, or a function that returns it. And each
// package says first what it is for.
func TestExamples(t *testing.T) {
	for _, dir := range packages {
		p := readPackage(t, filepath.Join("..", "..", dir))
		if want := "Package " + p.name + " "; !strings.HasPrefix(p.doc, want) || strings.Count(p.doc, ".") < 1 {
			t.Errorf("%s: got documentation %.60q, want what it is for, after %q", dir, p.doc, want)
		}
		for name, ways := range p.types {
			shown := slices.ContainsFunc(append(ways, name), func(way string) bool { return p.shown[way] })
			switch is := slices.Contains(received, dir+"/"+name); {
			case !shown && !is:
				t.Errorf("%s.%s: no Example with output names it, or one of %q", p.name, name, ways)
			case shown && is:
				t.Errorf("%s.%s has an Example: take it off the list", p.name, name)
			}
		}
	}
}

// source is what a package declares and shows.
type source struct {
	name, doc string
	types     map[string][]string // exported structs, with the exported functions that return them
	shown     map[string]bool     // identifiers in examples that are run
}

func readPackage(t *testing.T, dir string) source {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: got %d files, error %v", dir, len(names), err)
	}
	p := source{types: map[string][]string{}, shown: map[string]bool{}}
	returned := map[string][]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			p.show(file)
			continue
		}
		p.name = file.Name.Name
		p.doc += file.Doc.Text()
		p.declare(file, returned)
	}
	for name := range p.types {
		p.types[name] = returned[name]
	}
	return p
}

// declare notes the exported structs of a file, and what its exported functions return.
func (p source) declare(file *ast.File, returned map[string][]string) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					if _, ok := s.Type.(*ast.StructType); ok {
						p.types[s.Name.Name] = nil
					}
				}
			}
		case *ast.FuncDecl:
			if d.Recv != nil || !d.Name.IsExported() || d.Type.Results == nil {
				continue
			}
			for _, result := range d.Type.Results.List {
				for _, name := range identifiers(result.Type) {
					returned[name] = append(returned[name], d.Name.Name)
				}
			}
		}
	}
}

// show notes what the examples with an output name. Without one an example is compiled, but not run.
func (p source) show(file *ast.File) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Example") {
			continue
		}
		run := slices.ContainsFunc(file.Comments, func(c *ast.CommentGroup) bool {
			return c.Pos() > f.Body.Pos() && c.End() < f.Body.End() && strings.Contains(strings.ToLower(c.Text()), "output:")
		})
		if run {
			for _, name := range identifiers(f.Body) {
				p.shown[name] = true
			}
		}
	}
}

func identifiers(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}
