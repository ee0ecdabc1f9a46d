package clientcert_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// listed is a validating source of somebody else's: it vouches for the certificates of a list.
type listed struct {
	popauth.CertificateSource
	list  map[string]bool
	asked *int
}

var _ popauth.ValidatingSource = listed{}

func (s listed) Certificate(r *http.Request) (*popauth.Certificate, error) {
	c, err := popauth.FindCertificate(s.CertificateSource, r)
	if c == nil || err != nil {
		return nil, err
	}
	return s.Recheck(r, c)
}

func (s listed) Unwrap() popauth.CertificateSource { return s.CertificateSource }

func (s listed) Recheck(r *http.Request, c *popauth.Certificate) (*popauth.Certificate, error) {
	*s.asked++
	if !s.list[c.Thumbprint] {
		return nil, c.Refuse(r, errors.New("not on the list"))
	}
	return c.WithChain(), nil
}

// door lets requests pass by their certificates alone, as somebody else would build one.
func door(source popauth.CertificateSource) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := popauth.CheckRequest(r)
			var c *popauth.Certificate
			if err == nil {
				c, err = popauth.FindCertificate(source, r)
			}
			if err == nil {
				err = c.CheckIdentity()
			}
			if err != nil {
				popauth.Refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, popauth.WithoutHeaders(r, source))
		})
	}
}

// A Guard and a route have the validating source of somebody else asked again, and a door of somebody else's refuses as ours do.
func TestValidatingSourceOfSomebodyElse(t *testing.T) {
	l := lab.New(t)
	asked := 0
	source := listed{popauth.TLSCertificate(), map[string]bool{l.Owner.Thumbprint(): true}, &asked}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
	for name, route := range map[string]struct {
		wrap    func(http.Handler) http.Handler
		recheck func(*http.Request) error
	}{
		"Guard":   {g.Confirm, func(r *http.Request) error { _, err := g.Recheck(r); return err }},
		"Require": {clientcert.Require(source), func(r *http.Request) error { _, err := clientcert.Recheck(r); return err }},
		"ClientCertificate": {popauth.ClientCertificate(source), func(r *http.Request) error {
			_, err := popauth.CertificateNow(r)
			return err
		}},
	} {
		lab.Send(route.wrap, l.Thief.Request("GET", "/", l.Issuer.Token(l.Thief.Bound()))).Refused(t, 403, "")
		r := lab.Held(t, route.wrap, l.Owner.Request("GET", "/", l.Bound()))
		before := asked
		if err := route.recheck(r); err != nil || asked == before {
			t.Errorf("%s: got %v, asked %d times", name, err, asked-before)
		}
		source.list[l.Owner.Thumbprint()] = false
		if err := route.recheck(r); !errors.Is(err, popauth.ErrCertificateUntrusted) {
			t.Errorf("%s: withdrawn: got %v, want ErrCertificateUntrusted", name, err)
		}
		source.list[l.Owner.Thumbprint()] = true
	}

	lab.Send(door(source), l.Owner.Request("GET", "/", "")).Passed(t)
	for name, tt := range map[string]struct {
		source popauth.CertificateSource
		change func(*http.Request)
		client *popauthtest.Client
		status int
		closes bool
	}{
		"another's": {source: source, client: l.Thief, status: 403, closes: true},
		"none":      {source: source, status: 403},
		"nobody's":  {source: popauth.TLSCertificate(), client: l.Owner, status: 403},
		"early data": {source: source, client: l.Owner, change: func(r *http.Request) { r.Header.Set("Early-Data", "1") },
			status: 425},
		"two readings": {source: source, client: l.Owner, change: func(r *http.Request) { r.RequestURI = "/a/../b" }, status: 400},
		"no content": {source: lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) {
			return &popauth.Certificate{}, nil
		}), client: l.Owner, status: 400},
		"no Reason": {source: lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) { return nil, lab.ErrNo }),
			client: l.Owner, status: 400},
		"one of a token": {source: lab.SourceFunc(func(*http.Request) (*popauth.Certificate, error) {
			return nil, popauth.ErrTokenExpired
		}), client: l.Owner, status: 403},
		"another's context": {source: popauth.CertificateFunc(popauth.TLSCertificate().Certificate, "X-Mark"), client: l.Owner,
			status: 500},
	} {
		r := tt.client.Request("GET", "/", "")
		if tt.change != nil {
			tt.change(r)
		}
		if name == "another's context" {
			// As a batch makes them.
			outer := lab.Held(t, popauth.ClientCertificate(popauth.TLSCertificate()), l.Owner.Request("POST", "/batch", ""))
			r = l.Owner.Request("GET", "/other", "").WithContext(outer.Context())
		}
		spy, w := &popauthtest.Spy{}, httptest.NewRecorder()
		door(tt.source)(spy).ServeHTTP(w, r)
		if w.Code != tt.status || spy.Ran() > 0 || (w.Header().Get("Connection") == "close") != tt.closes {
			t.Errorf("%s: got %d, ran %d times, header %v, want %d", name, w.Code, spy.Ran(), w.Header(), tt.status)
		}
	}
}

// What a validating source returns is looked at like any other: its thumbprint is the root's own work.
func TestThumbprintOfAValidatingSource(t *testing.T) {
	l := lab.New(t)
	lie := lying{listed{popauth.TLSCertificate(), map[string]bool{l.Thief.Thumbprint(): true}, new(int)}, l.Owner.Thumbprint()}
	for name, find := range map[string]func() (*popauth.Certificate, error){
		"FindCertificate": func() (*popauth.Certificate, error) {
			return popauth.FindCertificate(lie, l.Thief.Request("GET", "/", ""))
		},
		"CertificateNow": func() (*popauth.Certificate, error) {
			return popauth.CertificateNow(lab.Held(t, popauth.ClientCertificate(lie), l.Thief.Request("GET", "/", "")))
		},
	} {
		if c, err := find(); err != nil || c.Thumbprint != l.Thief.Thumbprint() {
			t.Errorf("VULNERABLE: %s: got %v, %v", name, c, err)
		}
	}
	g := l.Guard(func(o *popauth.Options) { o.Certificate = lie })
	lab.Send(g.Confirm, l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
	lab.Send(clientcert.Require(lie, clientcert.Thumbprint(l.Owner.Thumbprint())), l.Thief.Request("GET", "/", "")).Refused(t, 403, "")
}

type lying struct {
	listed
	thumbprint string
}

func (s lying) Certificate(r *http.Request) (*popauth.Certificate, error) {
	c, err := s.listed.Certificate(r)
	c.Thumbprint = s.thumbprint
	return c, err
}

func (s lying) Recheck(r *http.Request, c *popauth.Certificate) (*popauth.Certificate, error) {
	c, err := s.listed.Recheck(r, c)
	c.Thumbprint = s.thumbprint
	return c, err
}

// WithChain makes a copy, by the chain alone, whoever has verified the certificate before.
func TestWithChain(t *testing.T) {
	l := lab.New(t)
	r := lab.ByTLS(l.Owner, "", l.CA)
	found, err := popauth.FindCertificate(popauth.TLSCertificate(), r)
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{found.Leaf, l.CA.Certificate}
	c := found.WithChain(chain...)
	chain[1] = nil
	if c == found || c.Verified != popauth.VerifiedLocally || len(c.Chain) != 2 || c.Chain[1] == nil || c.CheckIdentity() != nil {
		t.Errorf("got %+v", c)
	}
	if c.SharedRoots = true; c.Clone().Verified != popauth.VerifiedLocally || found.SharedRoots || found.Verified != popauth.NotVerified {
		t.Errorf("got %+v of %+v", c.Clone(), found)
	}
	if alone := found.WithChain(); !slices.Equal(alone.Chain, []*x509.Certificate{found.Leaf}) {
		t.Errorf("without a chain: got %+v", alone)
	}
	own := found.Clone()
	if own.Verified != popauth.VerifiedByTLS || len(own.Chain) != 2 {
		t.Errorf("clone: got %+v", own)
	}
	own.Chain[0], own.Verified = nil, popauth.NotVerified
	if again := found.Clone(); again.Chain[0] == nil || again.Verified != popauth.VerifiedByTLS ||
		(*popauth.Certificate)(nil).Clone() != nil {
		t.Errorf("after a change of another clone: got %+v", again)
	}
	// A certificate of another pool, or of nobody's, is no SPIFFE ID.
	id := "spiffe://a.example/admin"
	admin := l.CA.Client("admin", spiffe(id))
	for shared, want := range map[bool]int{true: 403, false: 200} {
		source := lab.SourceFunc(func(r *http.Request) (*popauth.Certificate, error) {
			c, err := popauth.FindCertificate(popauth.TLSCertificate(), r)
			if err != nil {
				return nil, err
			}
			c = c.WithChain(c.Leaf, l.CA.Certificate)
			c.SharedRoots = shared
			return c, nil
		})
		lab.Send(clientcert.Require(source, clientcert.SPIFFE(id)), admin.Request("GET", "/", "")).Is(t, want)
	}
	lab.Send(clientcert.Require(nil, clientcert.SPIFFE(id)), lab.ByTLS(admin, "", l.CA)).Refused(t, 403, "")
}

// A policy by CertificatePolicy sees what the request is decided by, and none where there is none.
func TestCertificatePolicy(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	var seen *popauth.Certificate
	sees := func(err error) popauth.Policy {
		return popauth.CertificatePolicy(func(_ *http.Request, c *popauth.Certificate) error { seen = c; return err })
	}
	lab.Send(g.Authorize(sees(nil)), l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	if seen == nil || seen.Thumbprint != l.Owner.Thumbprint() {
		t.Errorf("got %v", seen)
	}
	lab.Send(g.Authorize(sees(nil)), (*popauthtest.Client)(nil).Request("GET", "/", l.Unbound())).Passed(t)
	if seen != nil {
		t.Errorf("got %v, want none", seen)
	}
	lab.Send(g.Authorize(sees(lab.ErrNo)), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 403, "")
	lab.Send(g.Authorize(sees(lab.ErrDown)), l.Owner.Request("GET", "/", l.Bound())).Refused(t, 503, "")
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil function")
		}
	}()
	popauth.CertificatePolicy(nil)
}
