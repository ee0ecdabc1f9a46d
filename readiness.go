package popauth

import (
	"context"
	"errors"
	"sync"
)

// prepared is a Verifier that needs something before it can decide, such as the issuer's keys.
type prepared interface {
	Ready() bool                // tells whether that is there, and begins to fetch it
	Load(context.Context) error // waits for it
}

// preparedParts are the Verifiers that decide in v's place, or v itself, of those that need something.
func preparedParts(v Verifier) []prepared {
	if d, ok := v.(interface{ Verifiers() []Verifier }); ok {
		var all []prepared
		for _, part := range d.Verifiers() {
			all = append(all, preparedParts(part)...)
		}
		return all
	}
	if p, ok := v.(prepared); ok {
		return []prepared{p}
	}
	return nil
}

// Preload waits until there is what the Verifier needs before it can decide, no longer than ctx: the issuer's keys, and the
// introspection endpoint's address. Call it at start-up, so that a wrong issuer fails early; the error names what was expected
// and what came. Of package issuers it is for the issuers that are configured or were added. It returns nil for a Verifier that
// needs nothing, as one of your own without the methods Ready and Load, and ErrUnconfigured for a Guard that New has not made.
func (g *Guard) Preload(ctx context.Context) error {
	if g == nil || g.tokens.verifier == nil {
		return ErrUnconfigured
	}
	parts := preparedParts(g.tokens.verifier)
	wrong := make([]error, len(parts))
	var all sync.WaitGroup
	for i, p := range parts { // one that hangs takes no time from the others
		all.Go(func() { wrong[i] = p.Load(ctx) })
	}
	all.Wait()
	return errors.Join(wrong...)
}

// Ready tells whether there is what Preload waits for, for a readiness probe: an instance without keys can answer 503 only. It does
// not wait, and begins to fetch keys that are missing. It is false for a Guard that New has not made.
//
//	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
//		if !guard.Ready() {
//			w.WriteHeader(http.StatusServiceUnavailable)
//		}
//	})
func (g *Guard) Ready() bool {
	if g == nil || g.tokens.verifier == nil {
		return false
	}
	all := true
	for _, p := range preparedParts(g.tokens.verifier) {
		all = p.Ready() && all
	}
	return all
}
