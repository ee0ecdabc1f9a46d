package main

import "go/types"

// reach lists the types in t that users get without being able to name them.
func (l *lister) reach(t types.Type) {
	switch t := t.(type) {
	case *types.Named:
		for arg := range t.TypeArgs().Types() {
			l.reach(arg)
		}
		l.unnameable(t.Obj())
	case *types.Alias:
		l.unnameable(t.Obj())
	case *types.Pointer:
		l.reach(t.Elem())
	case *types.Slice:
		l.reach(t.Elem())
	case *types.Array:
		l.reach(t.Elem())
	case *types.Chan:
		l.reach(t.Elem())
	case *types.Map:
		l.reach(t.Key())
		l.reach(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				l.reach(f.Type())
			}
		}
	case *types.Interface:
		for m := range t.ExplicitMethods() {
			if m.Exported() {
				l.reach(m.Type())
			}
		}
		for e := range t.EmbeddedTypes() {
			l.reach(e)
		}
	case *types.Signature:
		for p := range t.TypeParams().TypeParams() {
			l.reach(p.Constraint())
		}
		l.reach(t.Params())
		l.reach(t.Results())
	case *types.Tuple:
		for v := range t.Variables() {
			l.reach(v.Type())
		}
	case *types.Union:
		for term := range t.Terms() {
			l.reach(term.Type())
		}
	}
}

// unnameable lists a type of this project that isn't exported by a public package.
func (l *lister) unnameable(o *types.TypeName) {
	if pkg := o.Pkg(); pkg == nil || !ofProject(pkg.Path()) || o.Exported() && l.public[pkg.Path()] {
		return
	}
	l.typeName(o)
}
