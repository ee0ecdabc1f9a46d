//go:build !race

// The race detector changes what is allocated.

package clientcert_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/clientcert"
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

// Roots that can change cost a request nothing as long as they don't.
func TestChangingRootsAllocations(t *testing.T) {
	ca := popauthtest.NewCA(t)
	const id = "spiffe://example.org/orders"
	path := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(path, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{Now: func() time.Time { return time.Unix(1e9, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	source := &bundleSource{}
	source.set("example.org", ca)
	r := svid(t, ca, id).Request("GET", "/", "")
	allocs := func(v clientcert.Verification) float64 {
		s := lab.Verified(t, v)
		if _, err := clientcert.Check(r, s); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(200, func() { _, _ = clientcert.Check(r, s) })
	}
	pool := ca.Pool()
	fixed := func(*http.Request, *x509.Certificate) (*x509.CertPool, error) { return pool, nil }
	if got, want := allocs(clientcert.Verification{RootsFor: file}), allocs(clientcert.Verification{RootsFor: fixed}); got > want {
		t.Errorf("file: got %v allocations, want %v as with one pool", got, want)
	}
	domains := clientcert.Verification{TrustDomains: map[string]*x509.CertPool{"example.org": pool}}
	if got, want := allocs(clientcert.Verification{RootsFor: clientcert.Bundles(source, domainOf)}), allocs(domains); got > want {
		t.Errorf("bundles: got %v allocations, want %v as with TrustDomains", got, want)
	}
}
