package thirdparty_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// yes confirms everything for its member.
type yes struct{ member string }

func (y yes) Member() string                                  { return y.member }
func (yes) Confirm(*http.Request, popauth.Presentation) error { return nil }

// never refuses what the MutualTLS embedded in it confirms, and says that it has looked at everything.
type never struct{ popauth.MutualTLS }

func (never) Confirm(*http.Request, popauth.Presentation) error { return errors.New("no") }

func (never) HoldsFor(popauth.Confirmer, *http.Request, *http.Request) bool { return true }

// proofless is a dpop.Confirmer that looks at nothing but the certificate.
type proofless struct{ *dpop.Confirmer }

func (proofless) Member() string { return "x5t#S256" }

func (proofless) Confirm(r *http.Request, p popauth.Presentation) error {
	return popauth.MutualTLS{}.Confirm(r, p)
}

// loud is MutualTLS, but panics once it has confirmed.
type loud struct{ popauth.MutualTLS }

func (loud) Confirm(*http.Request, popauth.Presentation) error { panic("confirm") }

// One Confirmer confirms its own member, and no other.
func TestConfirmers(t *testing.T) {
	w := newWorld(t)
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, []party{
		{name: "yes to another member", options: w.confirmedBy(popauth.MutualTLS{}, yes{"other"}), one: 200, two: 200},
		{name: "yes to another member, first", options: w.confirmedBy(yes{"other"}, popauth.MutualTLS{}), one: 200, two: 200},
		{name: "yes to another member alone", options: w.confirmedBy(yes{"other"}), one: 401, two: 401},
		{name: "MutualTLS embedded", options: w.confirmedBy(never{}), one: 401, two: 401},
		{name: "dpop embedded, whose scheme it has", options: w.confirmedBy(proofless{proofs}), one: 401, two: 401},
		{name: "one that panics", options: w.confirmedBy(loud{}), one: panics, two: 401},
		{name: "none", options: w.confirmedBy([]popauth.Confirmer{}...), one: 401, two: 401},
	})
}

// embedding is a source that wraps another.
type embedding struct{ popauth.CertificateSource }

// swapping validates what another source finds, and puts another certificate in the place of it.
type swapping struct {
	popauth.CertificateSource
	unwrapped popauth.CertificateSource
	to        *x509.Certificate // nil: the same
}

func (s swapping) Unwrap() popauth.CertificateSource { return s.unwrapped }

func (s swapping) Certificate(r *http.Request) (*popauth.Certificate, error) {
	c, err := popauth.FindCertificate(s.CertificateSource, r)
	if c == nil || err != nil || s.to == nil {
		return c, err
	}
	own := c.Clone()
	own.Leaf = s.to
	return own, nil
}

func (swapping) Recheck(*http.Request, *popauth.Certificate) (*popauth.Certificate, error) {
	return nil, nil
}

// A certificate is its bytes, whatever its source says of it.
func TestSources(t *testing.T) {
	w := newWorld(t)
	thiefs := certificateOf(t, w.thief)
	as := func(s popauth.CertificateSource) popauth.Options {
		o := w.issuer.Options()
		o.Certificate = s
		return o
	}
	returns := func(c func(*http.Request) popauth.Certificate) popauth.Options {
		return w.found(func(r *http.Request) (*popauth.Certificate, error) {
			own := c(r)
			return &own, nil
		})
	}
	tls := popauth.TLSCertificate()
	w.run(t, []party{
		{name: "nothing", options: w.found(func(*http.Request) (*popauth.Certificate, error) { return nil, nil }), one: 401, two: 401},
		{name: "the zero Certificate", options: returns(func(*http.Request) popauth.Certificate {
			return popauth.Certificate{}
		}), one: 400, two: 400},
		{name: "no bytes", options: returns(func(*http.Request) popauth.Certificate {
			return popauth.Certificate{Leaf: &x509.Certificate{}}
		}), one: 400, two: 400},
		{name: "the owner's thumbprint", options: returns(func(r *http.Request) popauth.Certificate {
			return popauth.Certificate{Leaf: leafOf(r), Thumbprint: w.owner.Thumbprint()}
		}), one: 200, two: 401},
		{name: "a chain of nothing", options: returns(func(r *http.Request) popauth.Certificate {
			return popauth.Certificate{Leaf: leafOf(r), Chain: []*x509.Certificate{nil}, Verified: popauth.VerifiedByTLS}
		}), one: 400, two: 400},
		{name: "the owner's, with the caller's put into it", options: w.found(func(r *http.Request) (*popauth.Certificate, error) {
			c, err := alwaysOf(w.owner).Certificate(r)
			if err == nil {
				c.Leaf = leafOf(r)
			}
			return c, err
		}), one: 200, two: 401},
		{name: "a wrapper", options: as(embedding{tls}), one: 200, two: 401},
		{name: "one that validates, and unwraps to nothing", options: as(swapping{CertificateSource: tls}), one: 200, two: 401},
		{name: "one that validates another", options: as(swapping{tls, tls, thiefs}), one: 401, two: 401},
		{name: "one that panics", options: w.found(func(*http.Request) (*popauth.Certificate, error) {
			panic("find")
		}), one: panics, two: panics},
	})
}

// What a source says of another's certificate is not believed, and no handler sees it.
func TestThumbprint(t *testing.T) {
	w := newWorld(t)
	token := w.issuer.Token()
	for name, source := range map[string]popauth.CertificateSource{
		"a thumbprint": popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
			return &popauth.Certificate{Leaf: leafOf(r), Thumbprint: w.owner.Thumbprint()}, nil
		}),
		"another certificate of ours": swapping{alwaysOf(w.owner), popauth.TLSCertificate(), certificateOf(t, w.thief)},
	} {
		o := w.issuer.Options()
		o.Certificate = source
		guard, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := guard.Check(w.thief.Request("GET", "/orders", token))
		if err != nil || p.Certificate.Thumbprint != w.thief.Thumbprint() {
			t.Errorf("VULNERABLE: %s: got %+v, %v, want the thumbprint of the certificate", name, p, err)
		}
	}
}

// alwaysOf is a source by which everybody has this certificate.
func alwaysOf(c *popauthtest.Client) popauth.CertificateSource {
	return popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) {
		return popauth.TLSCertificate().Certificate(c.Request("GET", "/orders", ""))
	})
}

func certificateOf(t *testing.T, c *popauthtest.Client) *x509.Certificate {
	leaf, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// spoil changes all of a certificate that it is given.
func spoil(c *popauth.Certificate) {
	if c == nil {
		return
	}
	*c = popauth.Certificate{Leaf: &x509.Certificate{Raw: []byte("spoilt")}, Thumbprint: "spoilt", Chain: c.Chain}
	for i := range c.Chain {
		c.Chain[i] = nil
	}
}

// spoiling is MutualTLS, but changes what it is shown.
type spoiling struct{ popauth.MutualTLS }

func (s spoiling) Confirm(r *http.Request, p popauth.Presentation) error {
	err := s.MutualTLS.Confirm(r, p)
	spoil(p.Certificate())
	p.Binding.Value = "spoilt"
	return err
}

// What a third party is given is its own: nobody else sees what it changes, in this request or in the next one.
func TestSpoiling(t *testing.T) {
	issuer, authority := popauthtest.NewIssuer(t), popauthtest.NewCA(t)
	owner, thief := authority.Client("owner"), authority.Client("owner")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{
		Roots: authority.Pool(),
		Check: func(_ *http.Request, c *popauth.Certificate) error {
			spoil(c)
			return nil
		},
		Revoked: func(_ context.Context, chain []*x509.Certificate) (bool, error) {
			clear(chain)
			return false, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := issuer.Options()
	o.Certificate, o.Confirmers = source, []popauth.Confirmer{spoiling{}}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	policy := popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
		spoil(p.Certificate)
		p.Subject = "spoilt"
		clear(p.Scopes)
		clear(p.Bindings)
		return nil
	})
	match := clientcert.MatchFunc(func(_ *http.Request, c *popauth.Certificate) error {
		spoil(c)
		return nil
	})
	ran := 0
	inside := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran++
		found, _ := popauth.CertificateFromContext(r.Context())
		spoil(found)
		if c, ok := popauth.CertificateFromContext(r.Context()); !ok || c.Thumbprint != owner.Thumbprint() {
			t.Errorf("VULNERABLE: got certificate %+v, want the owner's", c)
		}
		p, ok := popauth.FromContext(r.Context())
		if !ok || p.Subject == "spoilt" || len(p.Scopes) != 1 || p.Scopes[0] != "orders.read" ||
			p.Certificate.Thumbprint != owner.Thumbprint() ||
			p.Certificate.Leaf.Subject.CommonName != "owner" || len(p.Certificate.Chain) != 2 || p.Certificate.Chain[0] == nil {
			t.Errorf("VULNERABLE: got %+v, want what the owner has presented", p)
		}
		spoil(p.Certificate)
	})
	read := popauth.Scope("orders.read")
	h := guard.Authorize(policy, read, clientcert.Policy(match), policy, read)(clientcert.Require(source, match)(inside))
	for range 3 {
		if got := status(h, owner.Request("GET", "/orders", token)); got != 200 {
			t.Errorf("owner: got %d, want 200", got)
		}
		if got := status(h, thief.Request("GET", "/orders", token)); got != 401 {
			t.Errorf("VULNERABLE: thief: got %d, want 401", got)
		}
	}
	if ran != 3 {
		t.Errorf("got %d, want 3, for the owner", ran)
	}
}
