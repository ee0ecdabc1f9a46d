//go:build !race

// The race detector changes what is allocated.

package cost_test

import (
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
)

// A repeated request allocates no more whoever remembers its token: a Verifier of ours or of somebody else's.
func TestRememberingAllocations(t *testing.T) {
	l := lab.New(t)
	own := lab.VerifierOf(t, l.Issuer)
	for _, tt := range []struct {
		name     string
		verifier popauth.Verifier
		want     float64
	}{
		{"our own", own, 3},
		{"JWTOr", popauth.JWTOr(own, l.Introspection()), 3},
		{"somebody else's", &lab.Cache{Verifier: own}, 3},
		{"Issuers", lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.Issuer.URL: own}}), 4},
		{"Introspection", l.Introspection(), 6},
	} {
		token := l.Bound()
		if tt.name == "Introspection" {
			token = l.Issuer.Opaque(l.Owner.Bound())
		}
		g := l.Guard(func(o *popauth.Options) { *o = popauth.Options{Verifier: tt.verifier, Now: o.Now} })
		ran := 0
		h, r, w := g.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ })), l.Owner.Request("GET", "/", token),
			&lab.Stub{Fields: http.Header{}}
		serve := func() {
			clear(w.Fields)
			h.ServeHTTP(w, r)
		}
		serve()
		if got := testing.AllocsPerRun(200, serve); got > tt.want || ran != 202 {
			t.Errorf("%s: got %v allocations and %d requests let in, want %v at most and 202", tt.name, got, ran, tt.want)
		}
	}
}
