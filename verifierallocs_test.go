//go:build !race

// The race detector changes what is allocated.

package popauth_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
)

// A repeated request allocates no more whoever remembers its token: a Verifier of ours or of somebody else's.
func TestRememberingAllocations(t *testing.T) {
	l := newLab(t)
	own := jwtVerifierOf(t, l.issuer)
	for _, tt := range []struct {
		name     string
		verifier popauth.Verifier
		want     float64
	}{
		{"our own", own, 3},
		{"JWTOr", popauth.JWTOr(own, l.introspection()), 3},
		{"somebody else's", &cache{Verifier: own}, 3},
		{"Issuers", newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.issuer.URL: own}}), 4},
		{"Introspection", l.introspection(), 6},
	} {
		token := l.bound()
		if tt.name == "Introspection" {
			token = l.issuer.Opaque(l.owner.Bound())
		}
		g := l.guard(func(o *popauth.Options) { *o = popauth.Options{Verifier: tt.verifier, Now: o.Now} })
		ran := 0
		h, r, w := g.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ })), l.owner.Request("GET", "/", token), &stub{header: http.Header{}}
		serve := func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
		serve()
		if got := testing.AllocsPerRun(200, serve); got > tt.want || ran != 202 {
			t.Errorf("%s: got %v allocations and %d requests let in, want %v at most and 202", tt.name, got, ran, tt.want)
		}
	}
}
