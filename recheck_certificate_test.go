package popauth_test

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
	"github.com/seed-171ab058/popauth/popauthtest"
)

// For certificates as for tokens: what the source would say now counts.
func TestRecheckCertificate(t *testing.T) {
	l := newLab(t)
	now := time.Now()
	owner := l.ca.Client("owner", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	clock := popauthtest.NewClock(now)
	var revoked, refused bool
	v := clientcert.Verification{
		Roots: l.ca.Pool(), Now: clock.Now, Remember: -1,
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
	source := verified(t, v)
	twice, err := clientcert.Verified(source, clientcert.Verification{Roots: l.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	guardOf := func(s popauth.CertificateSource) *popauth.Guard {
		return l.guard(func(o *popauth.Options) { o.Certificate, o.Now = s, func() time.Time { return clock.Now() } })
	}
	own, inner := guardOf(source), guardOf(nil)
	behindCaller, err := clientcert.Verified(popauth.CallerCertificate(), clientcert.Verification{Roots: l.ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	behindAll := guardOf(behindCaller)
	again := func(r *http.Request) error { _, err := clientcert.Recheck(r); return err }
	routes := map[string]struct {
		wrap    func(http.Handler) http.Handler
		recheck func(*http.Request) error
	}{
		"RequireCertificate":         {clientcert.Require(source), again},
		"RequireCertificate of two":  {clientcert.Require(twice), again},
		"ClientCertificate":          {popauth.ClientCertificate(source), again},
		"RequireCertificate behind":  {chain(popauth.ClientCertificate(source), clientcert.Require(behindCaller)), again},
		"RequireCertificate inside":  {chain(clientcert.Require(source), clientcert.Require(verified(t, clientcert.Verification{Roots: l.ca.Pool()}))), again},
		"the caller's of the caller": {chain(popauth.ClientCertificate(source), popauth.ClientCertificate(popauth.CallerCertificate())), again},
		"a Guard that verifies more": {chain(popauth.ClientCertificate(source), behindAll.Confirm), func(r *http.Request) error { _, err := behindAll.Recheck(r); return err }},
		"a Guard inside of a route":  {chain(clientcert.Require(source), inner.Confirm), func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
		"a route inside of a Guard":  {chain(inner.Confirm, clientcert.Require(source)), func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
		"a Guard's own source":       {own.Confirm, func(r *http.Request) error { _, err := own.Recheck(r); return err }},
		"a Guard behind a handler's": {chain(popauth.ClientCertificate(source), inner.Confirm), func(r *http.Request) error { _, err := inner.Recheck(r); return err }},
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
			token := l.issuer.Token(owner.Bound(), cnf{"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()})
			r := held(t, route.wrap, owner.Request("GET", "/", token))
			tt.happens()
			if err := route.recheck(r); tt.want == "" && err != nil || tt.want != "" && !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: got %v, want %v", name, tt.name, err, tt.want)
			}
		}
	}
	if c, err := clientcert.Recheck(owner.Request("GET", "/", "")); c != nil || !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("behind nothing: got %v, %v, want ErrUndecided", c, err)
	}
	nobody := held(t, popauth.ClientCertificate(source), (*popauthtest.Client)(nil).Request("GET", "/", ""))
	if c, err := clientcert.Recheck(nobody); c != nil || !errors.Is(err, popauth.ErrCertificateRequired) {
		t.Errorf("nobody's: got %v, %v, want ErrCertificateRequired", c, err)
	}
}

// A binding needs the key alone. An identity that the TLS stack has verified ends with the certificate's period.
func TestRecheckExpiredByTLS(t *testing.T) {
	l := newLab(t)
	clock := popauthtest.NewClock(time.Now())
	owner := l.ca.Client("owner", func(c *x509.Certificate) {
		c.NotAfter = clock.Now().Add(time.Hour)
		c.DNSNames = []string{"owner.example"}
	})
	g := l.guard(func(o *popauth.Options) { o.Now = clock.Now })
	request := owner.Request("GET", "/", l.issuer.Token(owner.Bound(), cnf{"iat": clock.Now().Unix(), "exp": clock.Now().Add(24 * time.Hour).Unix()}))
	request.TLS.VerifiedChains = [][]*x509.Certificate{request.TLS.PeerCertificates}
	name := clientcert.DNS("owner.example")
	r := held(t, g.Authorize(clientcert.Policy(name)), request)
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
	l := newLab(t)
	g := l.guard()
	own := clientcert.Thumbprint(l.owner.Thumbprint())
	r := held(t, chain(popauth.ClientCertificate(popauth.CallerCertificate()), clientcert.Require(popauth.CallerCertificate(), own), g.Confirm), l.owner.Request("GET", "/", l.bound()))
	if c, err := clientcert.Recheck(r, own); err != nil || c == nil {
		t.Errorf("got %v, %v", c, err)
	}
	if p, err := g.Recheck(r); err != nil {
		t.Errorf("got %v, %v", p, err)
	}
	other := clientcert.Thumbprint(l.thief.Thumbprint())
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
	a := newDPoPAPI(t, dpop.Options{})
	stranger := clientcert.Thumbprint(popauthtest.SelfSigned(t, "x").Thumbprint())
	whoever := popauth.ClientCertificate(popauth.TLSCertificate())
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"a handler that finds":        chain(a.guard.Confirm, whoever, a.guard.Authorize(popauth.Bound())),
		"two of them":                 chain(a.guard.Confirm, whoever, whoever, a.guard.Authorize(popauth.Bound())),
		"one further out":             chain(whoever, a.guard.Confirm, whoever, a.guard.Authorize(popauth.Bound())),
		"a policy on the certificate": chain(a.guard.Confirm, whoever, a.guard.Authorize(popauth.AnyOf(clientcert.Policy(stranger), popauth.Bound()))),
	} {
		r := held(t, wrap, a.request())
		if _, err := a.guard.Recheck(r); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Another certificate is another caller.
	l := newLab(t)
	g := l.guard()
	stolen := popauth.ClientCertificate(sourceFunc(func(*http.Request) (*popauth.Certificate, error) {
		return &popauth.Certificate{Leaf: l.thief.Request("GET", "/", "").TLS.PeerCertificates[0]}, nil
	}))
	send(chain(g.Confirm, stolen, g.Confirm), l.owner.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
	gone := popauth.ClientCertificate(sourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, nil }))
	send(chain(g.Confirm, gone, g.Confirm), l.owner.Request("GET", "/", l.bound())).refused(t, 401, invalidToken)
	// What was found inside counts inside: a name that it has verified, for one.
	owner := l.ca.Client("owner", func(c *x509.Certificate) { c.DNSNames = []string{"owner.example"} })
	valid := verified(t, clientcert.Verification{Roots: l.ca.Pool()})
	send(chain(g.Confirm, clientcert.Require(valid), g.Authorize(clientcert.Policy(clientcert.DNS("owner.example")))),
		owner.Request("GET", "/", l.issuer.Token(owner.Bound()))).passed(t)
}

// What one caller of CertificateFromContext does to a certificate decides nothing.
func TestACertificateIsACopy(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	vouch := clientcert.MatchFunc(func(r *http.Request, _ *popauth.Certificate) error {
		if c, ok := popauth.CertificateFromContext(r.Context()); ok {
			c.Verified = popauth.VerifiedLocally
		}
		if c, err := clientcert.Check(r, nil, clientcert.Thumbprint(l.thief.Thumbprint())); err == nil {
			c.Verified = popauth.VerifiedLocally
		}
		return errNo
	})
	thief := popauthtest.SelfSigned(t, "thief", func(c *x509.Certificate) { c.DNSNames = []string{"admin.example"} })
	one := &popauth.Certificate{Leaf: thief.Request("GET", "/", "").TLS.PeerCertificates[0]}
	same := sourceFunc(func(*http.Request) (*popauth.Certificate, error) { return one, nil })
	named := clientcert.AnyOf(vouch, clientcert.DNS("admin.example"))
	for name, source := range map[string]popauth.CertificateSource{"TLSCertificate": popauth.TLSCertificate(), "one for all requests": same} {
		for range 3 {
			o := send(chain(popauth.ClientCertificate(source), g.Authorize(clientcert.Policy(named))), thief.Request("GET", "/", l.issuer.Token(thief.Bound())))
			if o.ran || o.status != 403 {
				t.Errorf("%s, Authorize: got %d, ran %t, want 403", name, o.status, o.ran)
			}
			o = send(clientcert.Require(source, clientcert.Thumbprint(thief.Thumbprint()), named), thief.Request("GET", "/", ""))
			if o.ran || o.status != 403 {
				t.Errorf("%s, RequireCertificate: got %d, ran %t, want 403", name, o.status, o.ran)
			}
		}
	}
}
