//go:build !race

// The race detector changes what is allocated.

package clientcert_test

import (
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// What a name is held against costs a request nothing, once it is known of its connection.
func TestIdentityAllocations(t *testing.T) {
	l := lab.New(t, "ES256")
	ca := popauthtest.NewCA(t, lab.Permits(t, false))
	owner := ca.Client("owner", func(c *x509.Certificate) {
		c.Subject.Organization, c.DNSNames = []string{"Partner"}, []string{"proxy.internal"}
	})
	state := func(verified bool) *http.Request {
		r := owner.Request("GET", "/", "")
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{r.TLS.PeerCertificates[0], ca.Certificate}}
		}
		return r
	}
	bound := l.Issuer.Token(lab.RequestClaims, owner.Bound())
	g := l.Guard()
	measure := func(r *http.Request, serve http.Handler) float64 {
		r.Header.Set("Authorization", "Bearer "+bound)
		recorder := lab.Stub{Fields: http.Header{}}
		return testing.AllocsPerRun(200, func() { serve.ServeHTTP(&recorder, r) })
	}
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	confirm := g.Confirm(nothing)
	plain := measure(state(false), confirm)
	elsewhere := state(true)
	elsewhere.Host = "other.example.com"
	for name, r := range map[string]*http.Request{"verified": state(true), "for another host": elsewhere} {
		if got := measure(r, confirm); got > plain {
			t.Errorf("%s: got %v allocations, want %v as without", name, got, plain)
		}
	}
	trusted, err := proxy.Trusted(proxy.TrustProxyTLS(proxy.Identity{DNS: "proxy.internal", Roots: ca.Pool()}))
	if err != nil {
		t.Fatal(err)
	}
	r := state(false)
	if err := trusted.Check(r); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(200, func() { _ = trusted.Check(r) }); got > 0 {
		t.Errorf("proxy: got %v allocations, want none", got)
	}
}
