package clientcert_test

import (
	"crypto/x509"
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// domain and bundle are as those of go-spiffe.
type domain struct{ name string }

type bundle struct{ authorities []*x509.Certificate }

func (b *bundle) X509Authorities() []*x509.Certificate { return b.authorities }

type bundleSource struct {
	mu     sync.Mutex
	of     map[domain]*bundle
	none   domain // without a bundle, and without an error
	outage error
}

func (s *bundleSource) set(name string, cas ...*popauthtest.CA) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[domain]*bundle{}
	}
	b := &bundle{}
	for _, ca := range cas {
		b.authorities = append(b.authorities, ca.Certificate)
	}
	s.of[domain{name}] = b
}

func (s *bundleSource) GetX509BundleForTrustDomain(d domain) (*bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.of[d]; (b != nil || d == s.none) && s.outage == nil {
		return b, nil
	}
	return nil, errors.Join(s.outage, errors.New("no bundle"))
}

func domainOf(name string) (domain, error) {
	if name == "refused.example" {
		return domain{}, errors.New("a name that the source refuses")
	}
	return domain{name}, nil
}

func svid(tb testing.TB, ca *popauthtest.CA, ids ...string) *popauthtest.Client {
	tb.Helper()
	return ca.Client("", func(c *x509.Certificate) {
		for _, id := range ids {
			u, err := url.Parse(id)
			if err != nil {
				tb.Fatal(err)
			}
			c.URIs = append(c.URIs, u)
		}
	})
}

func TestBundles(t *testing.T) {
	a, b := popauthtest.NewCA(t), popauthtest.NewCA(t)
	source := &bundleSource{}
	source.set("a.example", a)
	source.set("b.example", b)
	source.set("empty.example")
	source.of[domain{"nil.example"}] = &bundle{[]*x509.Certificate{nil}}
	source.none = domain{"none.example"}
	v := clientcert.Verification{RootsFor: clientcert.Bundles(source, domainOf)}
	for _, tt := range []struct {
		name string
		ca   *popauthtest.CA
		ids  []string
		want popauth.Reason
	}{
		{name: "a's", ca: a, ids: []string{"spiffe://a.example/x"}},
		{name: "b's", ca: b, ids: []string{"spiffe://b.example/x"}},
		{name: "b's authority for a", ca: b, ids: []string{"spiffe://a.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "unknown domain", ca: a, ids: []string{"spiffe://c.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "a domain that can't be parsed", ca: a, ids: []string{"spiffe://refused.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "no authority", ca: a, ids: []string{"spiffe://empty.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "a nil authority", ca: a, ids: []string{"spiffe://nil.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "neither bundle nor error", ca: a, ids: []string{"spiffe://none.example/x"}, want: popauth.ErrCertificateUntrusted},
		{name: "no ID", ca: a, want: popauth.ErrCertificateUntrusted},
		{name: "two IDs", ca: a, ids: []string{"spiffe://a.example/x", "spiffe://a.example/y"}, want: popauth.ErrCertificateUntrusted},
		{name: "an ID beside another URI", ca: a, ids: []string{"spiffe://a.example/x", "urn:a"}, want: popauth.ErrCertificateUntrusted},
		{name: "a domain's own ID", ca: a, ids: []string{"spiffe://a.example"}, want: popauth.ErrCertificateUntrusted},
		{name: "another scheme", ca: a, ids: []string{"https://a.example/x"}, want: popauth.ErrCertificateUntrusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := reasonOf(t, v, svid(t, tt.ca, tt.ids...)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("with SPIFFE", func(t *testing.T) {
		r := svid(t, a, "spiffe://a.example/x").Request("GET", "/", "")
		if got := required(t, v, r, clientcert.SPIFFE("spiffe://a.example/x")); !got.Ran {
			t.Errorf("got %d, want the handler", got.Status)
		}
	})
	t.Run("an outage that is one", func(t *testing.T) {
		source.outage = popauth.ErrUnavailable
		if got := reasonOf(t, v, svid(t, a, "spiffe://a.example/x")); got != popauth.ErrUnavailable {
			t.Errorf("got %q, want %q", got, popauth.ErrUnavailable)
		}
		source.outage = nil
	})
	t.Run("changes", func(t *testing.T) {
		s := lab.Verified(t, v)
		ofA, ofB := svid(t, a, "spiffe://a.example/x"), svid(t, b, "spiffe://a.example/x")
		for i, want := range []struct {
			roots []*popauthtest.CA
			a, b  bool
		}{
			{roots: []*popauthtest.CA{a}, a: true},
			{roots: []*popauthtest.CA{a, b}, a: true, b: true},
			{roots: []*popauthtest.CA{b}, b: true},
			{roots: []*popauthtest.CA{a}, a: true},
		} {
			source.set("a.example", want.roots...)
			for range 2 {
				_, errA := clientcert.Check(ofA.Request("GET", "/", ""), s)
				_, errB := clientcert.Check(ofB.Request("GET", "/", ""), s)
				if (errA == nil) != want.a || (errB == nil) != want.b {
					t.Errorf("step %d: got %v and %v, want %v and %v", i, errA, errB, want.a, want.b)
				}
			}
		}
	})
	t.Run("the same authorities are the same pool", func(t *testing.T) {
		r := svid(t, a, "spiffe://a.example/x").Request("GET", "/", "")
		first, err := v.RootsFor(r, r.TLS.PeerCertificates[0])
		if err != nil {
			t.Fatal(err)
		}
		source.set("a.example", a)
		if again, err := v.RootsFor(r, r.TLS.PeerCertificates[0]); err != nil || again != first {
			t.Errorf("got another pool, or %v", err)
		}
	})
}
