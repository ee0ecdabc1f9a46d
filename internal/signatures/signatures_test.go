package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
	"testing"
)

// sources are packages of a project by what follows popauth, each with what one line can be about.
var sources = map[string]string{
	"": `package popauth

import "github.com/seed-171ab058/popauth/internal/hidden"
import "github.com/seed-171ab058/popauth/proxy"

const (
	Limit = 16 << 10
	Missing Reason = "no \"token\""
	local = 1
)

var Default, other = Options{}, 1

type Reason string

func (Reason) Error() string { return "" }
func (Reason) local() {}

func New(o Options, more ...func(*Options) error) (*Guard, error) { return nil, nil }
func Claims[T any, K comparable](p *Guard, _ K) (claims T, ok bool) { return }
func build() {}

type Guard struct{ options Options }

func (*Guard) Check(format proxy.Format) error { return nil }
func (g *Guard) check() {}

type Options struct {
	Limits
	bounds
	*proxy.Format
	hidden.Clock ` + "`json:\"clock\"`" + `
	Trust level
	Formats map[string][]proxy.Format
	local unreached
}

type Limits struct{ Bytes int }
func (Limits) Sum() int { return 0 }

type bounds struct{ Entries, rest int }
func (*bounds) Grow() {}

type level int
func (level) String() string { return "" }

type unreached struct{ Field int }
func (unreached) Method() {}

type Confirmer interface {
	Member() string
	Confirm(p *Guard) (err error)
}
type Schemed interface {
	Confirmer
	Challenge() [2]chan challenge
}
type Sealed interface{ Open(); seal() }
type Text interface{ ~string | []byte }
type Key interface{ comparable }

type challenge struct{ Realm string }

type List[T any] struct{ First *T }
func (l *List[E]) Push(e E) {}

type Time = hidden.Time
type Twin = hidden.Aliased
type Pair[T any] = map[string]T
type Handler func(r *Guard) error
`,
	"/proxy": `package proxy

type Format struct{}
func (Format) Headers() []string { return nil }
`,
	"/internal/hidden": `package hidden

type Clock struct{ Now Time }
type Time struct{}
type Aliased struct{}
func (*Time) Unix() int64 { return 0 }
type Unused struct{}
`,
}

const wanted = `
popauth/internal/hidden: method (*Time) Unix() int64
popauth/internal/hidden: type Aliased struct
popauth/internal/hidden: type Clock struct
popauth/internal/hidden: type Clock struct, Now Time
popauth/internal/hidden: type Time struct
popauth/proxy: method (Format) Headers() []string
popauth/proxy: type Format struct
popauth: const Limit untyped int = 16384
popauth: const Missing Reason = "no \"token\""
popauth: func Claims[T any, K comparable](p *Guard, _ K) (claims T, ok bool)
popauth: func New(o Options, more ...func(*Options) error) (*Guard, error)
popauth: method (*Guard) Check(format popauth/proxy.Format) error
popauth: method (*List[E]) Push(e E)
popauth: method (*Options) Grow()
popauth: method (*bounds) Grow()
popauth: method (Limits) Sum() int
popauth: method (Options) Headers() []string
popauth: method (Options) Sum() int
popauth: method (Reason) Error() string
popauth: method (level) String() string
popauth: type Confirmer interface { Confirm, Member }
popauth: type Confirmer interface, Confirm(p *Guard) (err error)
popauth: type Confirmer interface, Member() string
popauth: type Guard struct
popauth: type Handler func(r *Guard) error
popauth: type Key interface {}
popauth: type Key interface, of type comparable
popauth: type Limits struct
popauth: type Limits struct, Bytes int
popauth: type List[T any] struct
popauth: type List[T any] struct, First *T
popauth: type Options struct
popauth: type Options struct, Formats map[string][]popauth/proxy.Format
popauth: type Options struct, Trust level
popauth: type Options struct, embedded *popauth/proxy.Format
popauth: type Options struct, embedded Limits
popauth: type Options struct, embedded bounds
popauth: type Options struct, embedded popauth/internal/hidden.Clock ` + "`json:\"clock\"`" + `
popauth: type Pair[T any] = map[string]T
popauth: type Reason string
popauth: type Schemed interface { Challenge, Confirm, Member }
popauth: type Schemed interface, Challenge() [2]chan challenge
popauth: type Schemed interface, Confirm(p *Guard) (err error)
popauth: type Schemed interface, Member() string
popauth: type Sealed interface { Open, unexported methods }
popauth: type Sealed interface, Open()
popauth: type Text interface {}
popauth: type Text interface, of type ~string | []byte
popauth: type Time = popauth/internal/hidden.Time
popauth: type Twin = popauth/internal/hidden.Aliased
popauth: type bounds struct
popauth: type bounds struct, Entries int
popauth: type challenge struct
popauth: type challenge struct, Realm string
popauth: type level int
popauth: var Default Options
`

func TestSignatures(t *testing.T) {
	p := &fixture{fset: token.NewFileSet(), checked: map[string]*types.Package{}}
	l := lister{public: map[string]bool{project: true, project + "/proxy": true}}
	for path := range l.public {
		pkg, err := p.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		l.add(pkg)
	}
	got, want := map[string]bool{}, map[string]bool{}
	for _, line := range l.lines {
		if got[line] {
			t.Errorf("twice: %s", line)
		}
		got[line] = true
	}
	for line := range strings.Lines(strings.TrimPrefix(wanted, "\n")) {
		want[strings.TrimSuffix(line, "\n")] = true
	}
	for _, line := range slices.Sorted(maps.Keys(want)) {
		if !got[line] {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(got)) {
		if !want[line] {
			t.Errorf("unexpected: %s", line)
		}
	}
}

// Whatever way something exported hands out a type that isn't, that type is listed.
func TestUnexportedTypes(t *testing.T) {
	for _, exported := range []string{
		"const C hidden = 1",
		"var V hidden",
		"var V *hidden",
		"var V []hidden",
		"var V [2]hidden",
		"var V chan hidden",
		"var V map[hidden]int",
		"var V map[int]hidden",
		"var V struct{ Field hidden }",
		"var V struct{ hidden }",
		"var V interface{ Method() hidden }",
		"type embedded interface{ Method() hidden }; var V interface{ embedded }",
		"var V func(hidden)",
		"var V func(int, ...hidden)",
		"var V func() (int, hidden)",
		"type List[T any] struct{}; var V List[hidden]",
		"type other = hidden; var V other",
		"func F(hidden) {}",
		"func F() (_ hidden) { return }",
		"func F[T hidden | ~string]() {}",
		"type T hidden; func (T) Method(hidden) {}",
		"type T struct{ Field hidden }",
		"type T struct{ *hidden }",
		"type T interface{ Method(hidden) }",
		"type T []hidden",
		"type T = hidden",
		"type T[P interface{ Method() hidden }] struct{}",
		"type T[P interface{ Method() hidden }] = []P",
		"type between struct{ Field hidden }; var V between",
	} {
		const want = "popauth: method (hidden) String() string"
		if got := linesOf(t, "type hidden int; func (hidden) String() string { return \"\" };"+exported); !slices.Contains(got, want) {
			t.Errorf("%s\ngot %q\nwant %s as well", exported, got, want)
		}
	}
	for _, own := range []string{
		"var v hidden",
		"var V struct{ field hidden }",
		"var V interface{ Open(); seal(hidden) }",
		"type T struct{ field hidden }",
		"type T struct{}; func (T) method(hidden) {}",
	} {
		for _, line := range linesOf(t, "type hidden int; func (hidden) String() string { return \"\" };"+own) {
			if strings.HasPrefix(line, "popauth: type hidden") {
				t.Errorf("%s\ngot %s, which nobody else can get", own, line)
			}
		}
	}
}

func linesOf(t *testing.T, source string) []string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", "package popauth;"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := (&types.Config{IgnoreFuncBodies: true}).Check(project, fset, []*ast.File{f}, nil)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	l := lister{public: map[string]bool{project: true}}
	l.add(pkg)
	return l.lines
}

func TestPublic(t *testing.T) {
	for _, tt := range []struct {
		of   listed
		want bool
	}{
		{of: listed{ImportPath: project, Name: "popauth"}, want: true},
		{of: listed{ImportPath: project + "/forwarded", Name: "forwarded"}, want: true},
		{of: listed{ImportPath: project + "/forwarded", Name: "forwarded", DepOnly: true}},
		{of: listed{ImportPath: project + "/cmd", Name: "main"}},
		{of: listed{ImportPath: project + "/internal/uri", Name: "uri"}},
		{of: listed{ImportPath: project + "/dpop/internal/proof", Name: "proof"}},
		{of: listed{ImportPath: project + "/examples/proxies", Name: "proxies"}},
		{of: listed{ImportPath: project + "/tests/routers", Name: "routers"}},
	} {
		if got := tt.of.public(); got != tt.want {
			t.Errorf("%+v: got %t, want %t", tt.of, got, tt.want)
		}
	}
}

// fixture imports what sources have.
type fixture struct {
	fset    *token.FileSet
	checked map[string]*types.Package
}

func (p *fixture) Import(path string) (*types.Package, error) {
	if pkg := p.checked[path]; pkg != nil {
		return pkg, nil
	}
	f, err := parser.ParseFile(p.fset, path, sources[strings.TrimPrefix(path, project)], 0)
	if err != nil {
		return nil, err
	}
	config := types.Config{Importer: p, IgnoreFuncBodies: true}
	p.checked[path], err = config.Check(path, p.fset, []*ast.File{f}, nil)
	return p.checked[path], err
}
