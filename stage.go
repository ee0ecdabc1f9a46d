package popauth

import (
	"maps"
	"net/http"
)

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
	h := &stageHandler{guard: g, stage: stage, policies: policies, next: next}
	if inner, ok := next.(*stageHandler); ok && inner.guard == g && stage != StageAuthorize && g.leavesAlone() {
		h.inner = inner
	}
	return h
}

// leavesAlone tells whether nobody else's code sees a request while it is authenticated. Where a stage is right behind
// such a one, there is nobody who could have changed the request in between, and nothing to read again. Authorize has
// policies, which may be functions of the program.
func (g *Guard) leavesAlone() bool {
	if g == nil || !g.prompt {
		return false
	}
	for _, c := range g.confirmers {
		if !c.ours {
			return false
		}
	}
	return true
}

// ServeHTTP implements http.Handler.
func (h *stageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.guard
	r = own(r)
	clean := g.clean(r)
	d, err := g.decide(r, clean)
	if err == nil {
		err = g.allow(clean, d, h.stage, h.policies)
	}
	if err != nil {
		g.deny(w, clean, err)
		return
	}
	maps.Copy(w.Header(), d.header)
	d.lines.Private(w.Header())
	r = d.pass(clean)
	for h.inner != nil {
		h = h.inner
		if err := g.allow(r, d, h.stage, h.policies); err != nil {
			g.deny(w, r, err)
			return
		}
	}
	h.next.ServeHTTP(w, r)
}
