package remember_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Many at once, of several issuers, for several audiences, with several certificates, while keys rotate: whoever
// passes is who they say, and nobody passes whom no Guard would let pass alone.
func TestMixedIdentities(t *testing.T) {
	type api struct {
		issuer   *popauthtest.Issuer
		audience string
		guard    *popauth.Guard
		keys     *popauth.RemoteKeys
	}
	ca := popauthtest.NewCA(t)
	var clients []*popauthtest.Client
	var connections []*http.Request
	for i := range 4 {
		clients = append(clients, ca.Client(fmt.Sprint("client-", i)))
		connections = append(connections, clients[i].Request("GET", "/", ""))
	}
	var apis []api
	for range 2 {
		issuer := popauthtest.NewIssuer(t, "EdDSA")
		for _, audience := range []string{"https://a.example.com", "https://b.example.com"} {
			o := issuer.Options(audience)
			o.Remember = 16 // fewer than there are tokens
			g, err := popauth.New(o)
			if err != nil {
				t.Fatal(err)
			}
			keys, _ := o.Keys.(*popauth.RemoteKeys)
			apis = append(apis, api{issuer, audience, g, keys})
		}
	}
	type identity struct {
		api, client int
		token       string
		withdrawn   bool
	}
	var mu sync.RWMutex // of ids, for what the test says of them
	var ids []identity
	mint := func() {
		for a := range apis {
			for c, client := range clients {
				for range 3 {
					token := apis[a].issuer.Token(client.Bound(), lab.Claims{"aud": apis[a].audience, "sub": fmt.Sprint(a, "/", c)})
					ids = append(ids, identity{a, c, token, false})
				}
			}
		}
	}
	mint()
	ask := func(n int) {
		mu.RLock()
		defer mu.RUnlock()
		id := ids[n%len(ids)]
		a, c := (n/7)%len(apis), (n/3)%len(clients)
		if n%2 == 0 {
			a, c = id.api, id.client
		}
		r := connections[c].Clone(t.Context())
		r.Header.Set("Authorization", "Bearer "+id.token)
		p, err := apis[a].guard.Check(r, popauth.Bound())
		switch pass := a == id.api && c == id.client && !id.withdrawn; {
		case pass && err != nil:
			t.Errorf("got %v, want a pass", err)
		case pass && p.Subject != fmt.Sprint(a, "/", c):
			t.Errorf("subject: got %s, want %d/%d", p.Subject, a, c)
		case !pass && err == nil:
			t.Errorf("VULNERABLE: a token of API %d and client %d, withdrawn %t, passes at API %d with client %d", id.api, id.client,
				id.withdrawn, a, c)
		}
	}
	for range 3 {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for n := range 150 {
					ask(n*13 + g)
				}
			})
		}
		wg.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			apis[0].issuer.Rotate() // which serves the first two APIs
			for _, a := range apis[:2] {
				if err := a.keys.Preload(context.Background()); err != nil {
					t.Error(err)
				}
			}
			for i := range ids {
				ids[i].withdrawn = ids[i].withdrawn || ids[i].api < 2
			}
			mint()
		})
		wg.Wait()
	}
}

// meddler changes whatever it is shown.
type meddler struct{ popauth.MutualTLS }

func (meddler) Confirm(r *http.Request, p popauth.Presentation) error {
	err := popauth.MutualTLS{}.Confirm(r, p)
	meddleWith(p.Certificate())
	return err
}

func meddleWith(c *popauth.Certificate) {
	if c != nil {
		c.Leaf, c.Thumbprint, c.Verified = nil, "x", popauth.VerifiedLocally
	}
}

// What users' code changes in what it is shown is changed for nobody else, remembered or not.
func TestMeddlingIsForgotten(t *testing.T) {
	l := lab.New(t)
	meddle := func(p *popauth.Principal) {
		p.Scopes[0], p.Audience[0], p.Bindings[0].Value, p.Subject = "admin", "x", "x", "admin"
		meddleWith(p.Certificate)
	}
	for _, source := range []popauth.CertificateSource{nil, popauth.TLSCertificate(), popauth.CallerCertificate()} {
		g := l.Guard(func(o *popauth.Options) {
			o.Certificate = source
			o.Confirmers = []popauth.Confirmer{meddler{}}
			o.Revoked = func(_ context.Context, t *popauth.Token) (bool, error) {
				t.Scopes()[0], t.Audience()[0] = "admin", "x"
				return false, nil
			}
		})
		h := g.Authorize(popauth.Scope("orders.read"), popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
			meddle(p)
			return nil
		}), popauth.Scope("orders.read"))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			p, _ := popauth.FromContext(r.Context())
			if p.Subject != "client-1" || p.Scopes[0] != "orders.read" || p.Certificate.Thumbprint != l.Owner.Thumbprint() ||
				p.Bindings[0].Value != l.Owner.Thumbprint() || p.Certificate.Verified != popauth.NotVerified {
				t.Errorf("got %+v %+v", p, p.Certificate)
			}
			meddle(p)
		}))
		r := l.Owner.Request("GET", "/", l.Bound())
		for range 3 {
			lab.Send(func(http.Handler) http.Handler { return h }, r)
			if _, err := g.Check(r, popauth.Scope("orders.read")); err != nil {
				t.Errorf("got %v, want a pass", err)
			}
			if source != nil {
				c, _ := source.Certificate(r)
				c.Thumbprint = "x"
			}
		}
		lab.Remembers(t, g, r, true)
	}
}

// swapped shows DPoP another token than the one that the request came with.
type swapped struct{ *dpop.Confirmer }

func (s swapped) Confirm(r *http.Request, p popauth.Presentation) error {
	p.Token = "another"
	return s.Confirmer.Confirm(r, p)
}

// The hash of a token that is remembered is that of no other.
func TestHashIsOfTheTokenShown(t *testing.T) {
	l, key := lab.New(t), popauthtest.NewProofKey(t, "")
	key.Now = l.Clock.Now
	g := l.Guard(func(o *popauth.Options) {
		o.Confirmers = []popauth.Confirmer{swapped{lab.Proofs(dpop.Options{Replay: &lab.UsedProofs{Until: map[string]time.Time{}}})}}
	})
	token := l.Issuer.Token(key.Bound())
	for range 3 {
		lab.Remembers(t, g, key.Request("GET", lab.DPoPURL, token), popauth.ErrProofToken)
	}
}

// Nor is what they change in the list of further certificates, which a search for a root goes through later.
func TestMeddlingWithIntermediatesIsForgotten(t *testing.T) {
	l := lab.New(t)
	ca := popauthtest.NewCA(t)
	meddle := func(c *popauth.Certificate) {
		for i := range c.Intermediates {
			c.Intermediates[i] = nil
		}
	}
	shown, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{
		Roots: l.CA.Pool(),
		Check: func(_ *http.Request, c *popauth.Certificate) error { meddle(c); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]popauth.CertificateSource{"caller": popauth.CallerCertificate(), "tls": popauth.TLSCertificate(),
		"verified": shown} {
		g := l.Guard(func(o *popauth.Options) { o.Certificate = source })
		for _, further := range []int{1, 30} { // remembered, and too large for that
			r := l.Owner.Request("GET", "/", l.Bound())
			for range further {
				r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, ca.Certificate)
			}
			h := g.Authenticate(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				for range 2 {
					p, _ := popauth.FromContext(r.Context())
					if got := p.Certificate.Intermediates; len(got) != further || slices.Contains(got, nil) {
						t.Errorf("%s, %d further certificates: got %v", name, further, got)
					}
					meddle(p.Certificate)
				}
			}))
			for range 2 {
				if o := lab.Send(func(http.Handler) http.Handler { return h }, r); o.Status != http.StatusOK {
					t.Errorf("%s, %d further certificates: got %+v", name, further, o)
				}
			}
			if slices.Contains(r.TLS.PeerCertificates, nil) {
				t.Errorf("%s, %d further certificates: those of the connection were changed", name, further)
			}
		}
	}
}
