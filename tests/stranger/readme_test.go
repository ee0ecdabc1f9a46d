package stranger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/tests/stranger/release"
)

// known are the packages of the README's code, as an editor adds their imports.
var known = map[string]string{
	"chi": "github.com/go-chi/chi/v5", "http": "net/http", "httptest": "net/http/httptest", "log": "log", "netip": "net/netip",
	"slog": "log/slog", "testing": "testing", "time": "time", "tls": "crypto/tls", "popauth": release.Root,
	"dpop": release.Root + "/dpop", "popauthtest": release.Root + "/popauthtest", "popclient": release.Root + "/popclient",
	"proxy": release.Root + "/proxy",
}

// around is what a reader has around the README's code, by a word of it, and what makes use of its variables: Go wants that.
var around = [...]struct{ word, before, use string }{
	{"listOrders", "func listOrders(w http.ResponseWriter, r *http.Request) {}", "server, r"},
	{"proxy.Nginx", "var secret = \"0123456789abcdef\"", "options"},
	{"popclient.NewMutualTLS", "", "client"},
	{"func TestOrders", "func routes(guard *popauth.Guard) http.Handler {\n\tmux := http.NewServeMux()\n" +
		"\tmux.Handle(\"GET /orders\", guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))\n\treturn mux\n}", ""},
}

// The README's code compiles as it stands, and its test passes.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(published.tree, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pieces := strings.Split(string(text), "```go\n")[1:]
	if len(pieces) != len(around) {
		t.Errorf("got %d pieces of Go, want %d: say in this test what is around them", len(pieces), len(around))
	}
	for _, piece := range pieces {
		code, _, _ := strings.Cut(piece, "```")
		i := slices.IndexFunc(around[:], func(a struct{ word, before, use string }) bool { return strings.Contains(code, a.word) })
		if i < 0 {
			t.Errorf("say in this test what is around this:\n%s", code)
			continue
		}
		t.Run(around[i].word, func(t *testing.T) {
			d := module(t)
			d.get(release.Root)
			source, tested := around[i].before+"\n\n"+code, strings.HasPrefix(code, "func Test")
			if !tested {
				source = around[i].before + "\n\nfunc main() {\n" + code + "\n\tuse(" + around[i].use + ")\n}\n\nfunc use(...any) {}\n"
			}
			name := map[bool]string{true: "orders_test.go", false: "main.go"}[tested]
			d.file(name, withImports(t, source))
			if strings.Contains(code, "chi.") {
				d.run("go", "get", known["chi"])
			}
			d.run("go", "vet", ".")
			if tested {
				d.run("go", "test", "-count=1", ".")
			} else {
				d.run("go", "build", "-o", "program", ".")
			}
		})
	}
}

// withImports adds the package clause and the imports.
func withImports(t *testing.T, code string) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "", "package main\n"+code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && known[x.Name] != "" {
				needed[known[x.Name]] = true
			}
		}
		return true
	})
	head := "package main\n\nimport (\n"
	for _, path := range slices.Sorted(maps.Keys(needed)) {
		head += "\t\"" + path + "\"\n"
	}
	return head + ")\n\n" + code
}
