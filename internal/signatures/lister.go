package main

import (
	"fmt"
	"go/token"
	"go/types"
	"path"
	"strings"
)

// lister collects the lines of packages, and of the types that these hand out.
type lister struct {
	public map[string]bool // by path
	seen   map[*types.TypeName]bool
	lines  []string
}

func (l *lister) add(pkg *types.Package) {
	for _, name := range pkg.Scope().Names() {
		if token.IsExported(name) {
			l.object(pkg.Scope().Lookup(name))
		}
	}
}

func (l *lister) line(pkg *types.Package, format string, args ...any) {
	l.lines = append(l.lines, label(pkg)+": "+fmt.Sprintf(format, args...))
}

// label is the short name of a package of this project, such as popauth/forwarded.
func label(pkg *types.Package) string { return strings.TrimPrefix(pkg.Path(), path.Dir(project)+"/") }

func (l *lister) object(o types.Object) {
	pkg := o.Pkg()
	switch o := o.(type) {
	case *types.Const:
		l.line(pkg, "const %s %s = %s", o.Name(), text(pkg, o.Type()), o.Val().ExactString())
		l.reach(o.Type())
	case *types.Var:
		l.line(pkg, "var %s %s", o.Name(), text(pkg, o.Type()))
		l.reach(o.Type())
	case *types.Func:
		l.line(pkg, "func %s%s", o.Name(), l.signature(pkg, o))
	case *types.TypeName:
		l.typeName(o)
	}
}

// text is a type as a file of pkg would write it, with whole import paths: packages may share a name.
func text(pkg *types.Package, t types.Type) string {
	return types.TypeString(t, func(other *types.Package) string {
		switch {
		case other == pkg:
			return ""
		case ofProject(other.Path()):
			return label(other)
		default:
			return other.Path()
		}
	})
}

func (l *lister) signature(pkg *types.Package, f *types.Func) string {
	l.reach(f.Type())
	return strings.TrimPrefix(text(pkg, f.Type()), "func")
}

func (l *lister) typeName(o *types.TypeName) {
	if l.seen[o] {
		return
	}
	if l.seen == nil {
		l.seen = map[*types.TypeName]bool{}
	}
	l.seen[o] = true
	pkg := o.Pkg()
	if alias, ok := o.Type().(*types.Alias); ok {
		l.line(pkg, "type %s%s = %s", o.Name(), l.params(pkg, alias.TypeParams()), text(pkg, alias.Rhs()))
		l.reach(alias.Rhs())
		return
	}
	named, ok := o.Type().(*types.Named)
	if !ok {
		return
	}
	name := o.Name() + l.params(pkg, named.TypeParams())
	switch u := named.Underlying().(type) {
	case *types.Struct:
		l.line(pkg, "type %s struct", name)
		l.fields(pkg, name, u)
	case *types.Interface:
		l.interfaceType(pkg, name, u)
		return
	default:
		l.line(pkg, "type %s %s", name, text(pkg, u))
		l.reach(u)
	}
	l.methods(pkg, named)
}

func (l *lister) params(pkg *types.Package, params *types.TypeParamList) string {
	var all []string
	for p := range params.TypeParams() {
		all = append(all, p.Obj().Name()+" "+text(pkg, p.Constraint()))
		l.reach(p.Constraint())
	}
	if all == nil {
		return ""
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func (l *lister) fields(pkg *types.Package, name string, s *types.Struct) {
	for i := range s.NumFields() {
		f, tag := s.Field(i), ""
		if s.Tag(i) != "" {
			tag = " `" + s.Tag(i) + "`"
		}
		switch {
		case f.Embedded():
			l.line(pkg, "type %s struct, embedded %s%s", name, text(pkg, f.Type()), tag)
		case f.Exported():
			l.line(pkg, "type %s struct, %s %s%s", name, f.Name(), text(pkg, f.Type()), tag)
		default:
			continue
		}
		l.reach(f.Type())
	}
}

func (l *lister) interfaceType(pkg *types.Package, name string, t *types.Interface) {
	var names []string
	closed := false
	for m := range t.Methods() {
		if !m.Exported() {
			closed = true
			continue
		}
		names = append(names, m.Name())
		l.line(pkg, "type %s interface, %s%s", name, m.Name(), l.signature(pkg, m))
	}
	for e := range t.EmbeddedTypes() {
		if i, ok := e.Underlying().(*types.Interface); !ok || !i.IsMethodSet() {
			l.line(pkg, "type %s interface, of type %s", name, text(pkg, e))
		}
	}
	if closed {
		names = append(names, "unexported methods")
	}
	if names == nil {
		l.line(pkg, "type %s interface {}", name)
		return
	}
	l.line(pkg, "type %s interface { %s }", name, strings.Join(names, ", "))
}

// methods lists what can be called, by way of embedded fields too.
func (l *lister) methods(pkg *types.Package, named *types.Named) {
	values := types.NewMethodSet(named)
	for m := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		f, ok := m.Obj().(*types.Func)
		if !ok || !f.Exported() {
			continue
		}
		pointer := "*"
		if values.Lookup(f.Pkg(), f.Name()) != nil {
			pointer = ""
		}
		l.line(pkg, "method (%s%s) %s%s", pointer, receiver(named, f), f.Name(), l.signature(pkg, f))
	}
}

// receiver is the type's name with its parameters as the method calls them.
func receiver(named *types.Named, f *types.Func) string {
	params := f.Signature().RecvTypeParams()
	if params.Len() != named.TypeParams().Len() {
		params = named.TypeParams()
	}
	var names []string
	for p := range params.TypeParams() {
		names = append(names, p.Obj().Name())
	}
	if names == nil {
		return named.Obj().Name()
	}
	return named.Obj().Name() + "[" + strings.Join(names, ", ") + "]"
}
