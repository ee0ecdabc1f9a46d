package popauth

import (
	"maps"
	"net/http"
	"slices"
)

// Authenticate lets a request pass whose token is genuine and meant for this API, and, where the token is bound, in
// the right hands: possession was proven for every member of its cnf. It panics if next is nil.
func (g *Guard) Authenticate(next http.Handler) http.Handler { return g.stage(StageAuthenticate, next) }

// Confirm lets a request pass that Authenticate would, and whose token is bound. It panics if next is nil.
func (g *Guard) Confirm(next http.Handler) http.Handler { return g.stage(StageConfirm, next, Bound()) }

// Authorize lets a request pass that Authenticate would, and that every policy allows. It panics without a policy or
// with the zero Policy, and with one on names of an issuer if the Guard can have several: see Issuer.
func (g *Guard) Authorize(policies ...Policy) func(http.Handler) http.Handler {
	if len(policies) == 0 {
		panic("popauth: Authorize: no policy")
	}
	policies = slices.Clone(policies)
	for _, p := range policies {
		if p.allow == nil {
			panic("popauth: Authorize: zero Policy")
		}
	}
	g = g.orNone()
	if g.policies.several && unsaid(policies) {
		panic("popauth: Authorize: " + errIssuerUnsaid.Error())
	}
	g.document.record(policies)
	return func(next http.Handler) http.Handler { return g.stage(StageAuthorize, next, policies...) }
}

// stageHandler is one stage of a Guard around a handler.
type stageHandler struct {
	guard    *Guard
	stage    Stage
	policies []Policy
	next     http.Handler
	inner    *stageHandler // next, if this stage's decision is that one's too; nil if it decides itself
}

func (g *Guard) stage(stage Stage, next http.Handler, policies ...Policy) http.Handler {
	if next == nil {
		panic("popauth: nil handler")
	}
	h := &stageHandler{guard: g.orNone(), stage: stage, policies: policies, next: next}
	if inner, ok := next.(*stageHandler); ok && inner.guard == g && stage != StageAuthorize && h.guard.leavesAlone() {
		h.inner = inner
	}
	return h
}

// leavesAlone tells whether nobody changes a request while it is authenticated: no source of the program, and a Confirmer must
// not. Where a stage is right behind such a one, there is nothing to read again. Authorize has policies, which may be functions
// of the program.
func (g *Guard) leavesAlone() bool { return g.prompt }

// ServeHTTP implements http.Handler.
func (h *stageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.guard
	r = own(r)
	clean := g.headers.Strip(r)
	d, err := g.decide(r, clean)
	if err == nil {
		err = g.policies.allow(clean, d, h.stage, h.policies)
	}
	if err != nil {
		g.refusals.write(w, clean, err)
		return
	}
	maps.Copy(w.Header(), d.header)
	d.lines.Private(w.Header())
	r = d.pass(clean)
	for h.inner != nil {
		h = h.inner
		if err := g.policies.allow(r, d, h.stage, h.policies); err != nil {
			g.refusals.write(w, r, err)
			return
		}
	}
	h.next.ServeHTTP(w, r)
}
