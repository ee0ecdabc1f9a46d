package decisions_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// For certificates as for tokens: what the source would say now counts.
func TestRecheckCertificate(t *testing.T) {
	l := lab.New(t)
	now := time.Now()
	owner := l.CA.Client("owner", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	clock := popauthtest.NewClock(now)
	var revoked, refused bool
	v := clientcert.Verification{
		Roots: l.CA.Pool(), Now: clock.Now, Remember: -1,
		Revoked: func(context.Context, []*x509.Certificate) (bool, error) { return revoked, nil },
		Check: func(*http.Request, *popauth.Certificate) error {
			if refused {
				return popauth.ErrForbidden
			}
			return nil
		},
	}
	reset := func() { revoked, refused, clock = false, false, popauthtest.NewClock(now) }
	v.Now = func() time.Time { return clock.Now() }
	source := lab.Verified(t, v)
	twice, err := clientcert.Verified(source, clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	guardOf := func(s popauth.CertificateSource) *popauth.Guard {
		return l.Guard(func(o *popauth.Options) { o.Certificate, o.Now = s, func() time.Time { return clock.Now() } })
	}
	own, inner := guardOf(source), guardOf(nil)
	behindCaller, err := clientcert.Verified(popauth.CallerCertificate(), clientcert.Verification{Roots: l.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	behindAll := guardOf(behindCaller)
	again := func(r *http.Request) error { _, err := clientcert.Recheck(r); return err }
	routes := map[string]struct {
		wrap    func(http.Handler) http.Handler
		recheck func(*http.Request) error
	}{
		"RequireCertificate":        {clientcert.Require(source), again},
		"RequireCertificate of two": {clientcert.Require(twice), again},
		"ClientCertificate":         {popauth.ClientCertificate(source), again},
		"RequireCertificate behind": {lab.Chain(popauth.ClientCertificate(source), clientcert.Require(behindCaller)), again},
		"RequireCertificate inside": {lab.Chain(clientcert.Require(source),
			clientcert.Require(lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()}))), again},
		"the caller's of the caller": {lab.Chain(popauth.ClientCertificate(source),
			popauth.ClientCertificate(popauth.CallerCertificate())), again},
		"a Guard that verifies more": {lab.Chain(popauth.ClientCertificate(source), behindAll.Confirm),
			func(r *http.Request) error { _, err := behindAll.Recheck(r); return err }},
		"a Guard inside of a route": {lab.Chain(clientcert.Require(source), inner.Confirm),
			func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
		"a route inside of a Guard": {lab.Chain(inner.Confirm, clientcert.Require(source)),
			func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
		"a Guard's own source": {own.Confirm, func(r *http.Request) error { _, err := own.Recheck(r); return err }},
		"a Guard behind a handler's": {lab.Chain(popauth.ClientCertificate(source), inner.Confirm),
			func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
	}
	for name, route := range routes {
		for _, tt := range []struct {
			name    string
			happens func()
			want    popauth.Reason
		}{
			{"nothing", func() {}, ""},
			{"revoked", func() { revoked = true }, popauth.ErrCertificateRevoked},
			{"refused by Check", func() { refused = true }, popauth.ErrForbidden},
			{"expired", func() { clock.Advance(2 * time.Hour) }, popauth.ErrCertificateUntrusted},
		} {
			reset()
			token := l.Issuer.Token(owner.Bound(), lab.Claims{"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()})
			r := lab.Held(t, route.wrap, owner.Request("GET", "/", token))
			tt.happens()
			if err := route.recheck(r); tt.want == "" && err != nil || tt.want != "" && !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: got %v, want %v", name, tt.name, err, tt.want)
			}
		}
	}
	if c, err := clientcert.Recheck(owner.Request("GET", "/", "")); c != nil || !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("behind nothing: got %v, %v, want ErrUndecided", c, err)
	}
	nobody := lab.Held(t, popauth.ClientCertificate(source), (*popauthtest.Client)(nil).Request("GET", "/", ""))
	if c, err := clientcert.Recheck(nobody); c != nil || !errors.Is(err, popauth.ErrCertificateRequired) {
		t.Errorf("nobody's: got %v, %v, want ErrCertificateRequired", c, err)
	}
}

// A binding needs the key alone. An identity that the TLS stack has verified ends with the certificate's period.
func TestRecheckExpiredByTLS(t *testing.T) {
	l := lab.New(t)
	clock := popauthtest.NewClock(time.Now())
	owner := l.CA.Client("owner", func(c *x509.Certificate) {
		c.NotAfter = clock.Now().Add(time.Hour)
		c.DNSNames = []string{"owner.example"}
	})
	g := l.Guard(func(o *popauth.Options) { o.Now = clock.Now })
	request := owner.Request("GET", "/", l.Issuer.Token(owner.Bound(),
		lab.Claims{"iat": clock.Now().Unix(), "exp": clock.Now().Add(24 * time.Hour).Unix()}))
	request.TLS.VerifiedChains = [][]*x509.Certificate{request.TLS.PeerCertificates}
	name := clientcert.DNS("owner.example")
	r := lab.Held(t, g.Authorize(clientcert.Policy(name)), request)
	if p, err := g.Recheck(r, clientcert.Policy(name)); err != nil || p.Certificate.Verified != popauth.VerifiedByTLS {
		t.Errorf("got %v, %v", p, err)
	}
	clock.Advance(2 * time.Hour)
	if _, err := g.Recheck(r); err != nil {
		t.Errorf("the binding: got %v, want it to hold", err)
	}
	if _, err := g.Recheck(r, clientcert.Policy(name)); !errors.Is(err, popauth.ErrCertificateUntrusted) {
		t.Errorf("the name: got %v, want ErrCertificateUntrusted", err)
	}
}

// A source that takes what an outer handler has found never finds itself.
func TestRecheckCallerCertificate(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	own := clientcert.Thumbprint(l.Owner.Thumbprint())
	r := lab.Held(t, lab.Chain(popauth.ClientCertificate(popauth.CallerCertificate()),
		clientcert.Require(popauth.CallerCertificate(), own), g.Confirm), l.Owner.Request("GET", "/", l.Bound()))
	if c, err := clientcert.Recheck(r, own); err != nil || c == nil {
		t.Errorf("got %v, %v", c, err)
	}
	if p, err := g.Recheck(r); err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	other := clientcert.Thumbprint(l.Thief.Thumbprint())
	if c, err := clientcert.Recheck(r, other); c != nil || !errors.Is(err, popauth.ErrForbidden) {
		t.Errorf("another policy: got %v, %v, want ErrForbidden", c, err)
	}
	if c, err := clientcert.Recheck(r); c != nil || !errors.Is(err, popauth.ErrCertificateUntrusted) {
		t.Errorf("no policy, and nobody has verified it: got %v, %v, want ErrCertificateUntrusted", c, err)
	}
	token := clientcert.MatchFunc(func(*http.Request, *popauth.Certificate) error { return popauth.ErrBindingMissing })
	if _, err := clientcert.Recheck(r, own, token); !errors.Is(err, popauth.ErrForbidden) {
		t.Errorf("a policy that asks for a token: got %v, want ErrForbidden", err)
	}
	first, err := clientcert.Recheck(r, own)
	if err != nil {
		t.Fatal(err)
	}
	first.Verified, first.Thumbprint = popauth.VerifiedLocally, "x"
	if c, err := clientcert.Recheck(r, own); err != nil || c.Thumbprint == "x" || c.Verified != popauth.NotVerified {
		t.Errorf("after a change of the first: got %+v, %v", c, err)
	}
}

// A route by certificate inside of a stage belongs to the same request: its proof is not asked for twice.
func TestCertificateRouteInsideOfAStage(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	stranger := clientcert.Thumbprint(popauthtest.SelfSigned(t, "x").Thumbprint())
	whoever := popauth.ClientCertificate(popauth.TLSCertificate())
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"a handler that finds": lab.Chain(a.Guard.Confirm, whoever, a.Guard.Authorize(popauth.Bound())),
		"two of them":          lab.Chain(a.Guard.Confirm, whoever, whoever, a.Guard.Authorize(popauth.Bound())),
		"one further out":      lab.Chain(whoever, a.Guard.Confirm, whoever, a.Guard.Authorize(popauth.Bound())),
		"a policy on the certificate": lab.Chain(a.Guard.Confirm, whoever,
			a.Guard.Authorize(popauth.AnyOf(clientcert.Policy(stranger), popauth.Bound()))),
	} {
		r := lab.Held(t, wrap, a.Request())
		if _, err := a.Guard.Recheck(r); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Another certificate is another caller.
	l := lab.New(t)
	g := l.Guard()
	stolen := popauth.ClientCertificate(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) {
		return &popauth.Certificate{Leaf: l.Thief.Request("GET", "/", "").TLS.PeerCertificates[0]}, nil
	}))
	lab.Send(lab.Chain(g.Confirm, stolen, g.Confirm), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	gone := popauth.ClientCertificate(lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, nil }))
	lab.Send(lab.Chain(g.Confirm, gone, g.Confirm), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	// What was found inside counts inside: a name that it has verified, for one.
	owner := l.CA.Client("owner", func(c *x509.Certificate) { c.DNSNames = []string{"owner.example"} })
	valid := lab.Verified(t, clientcert.Verification{Roots: l.CA.Pool()})
	lab.Send(lab.Chain(g.Confirm, clientcert.Require(valid), g.Authorize(clientcert.Policy(clientcert.DNS("owner.example")))),
		owner.Request("GET", "/", l.Issuer.Token(owner.Bound()))).Passed(t)
}

// What one caller of CertificateFromContext does to a certificate decides nothing.
func TestACertificateIsACopy(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	vouch := clientcert.MatchFunc(func(r *http.Request, _ *popauth.Certificate) error {
		if c, ok := popauth.CertificateFromContext(r.Context()); ok {
			c.Verified = popauth.VerifiedLocally
		}
		if c, err := clientcert.Check(r, nil, clientcert.Thumbprint(l.Thief.Thumbprint())); err == nil {
			c.Verified = popauth.VerifiedLocally
		}
		return lab.ErrNo
	})
	thief := popauthtest.SelfSigned(t, "thief", func(c *x509.Certificate) { c.DNSNames = []string{"admin.example"} })
	one := &popauth.Certificate{Leaf: thief.Request("GET", "/", "").TLS.PeerCertificates[0]}
	same := lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return one, nil })
	named := clientcert.AnyOf(vouch, clientcert.DNS("admin.example"))
	for name, source := range map[string]popauth.CertificateSource{"TLSCertificate": popauth.TLSCertificate(),
		"one for all requests": same} {
		for range 3 {
			o := lab.Send(lab.Chain(popauth.ClientCertificate(source), g.Authorize(clientcert.Policy(named))),
				thief.Request("GET", "/", l.Issuer.Token(thief.Bound())))
			if o.Ran || o.Status != 403 {
				t.Errorf("%s, Authorize: got %d, ran %t, want 403", name, o.Status, o.Ran)
			}
			o = lab.Send(clientcert.Require(source, clientcert.Thumbprint(thief.Thumbprint()), named), thief.Request("GET", "/", ""))
			if o.Ran || o.Status != 403 {
				t.Errorf("%s, RequireCertificate: got %d, ran %t, want 403", name, o.Status, o.Ran)
			}
		}
	}
}
