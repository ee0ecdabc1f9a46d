package popauth_test

import (
	"context"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
)

// freshCache is one that can tell.
type freshCache struct{ *cache }

var _ popauth.CachingVerifier = freshCache{}

func (c freshCache) Fresh(token string, t *popauth.Token) bool {
	kept, _ := c.tokens.Load(token)
	return kept == t && !c.withdrawn.Load()
}

// cachedBehind are the ways in which a Guard can have a Verifier of somebody else's.
var cachedBehind = map[string]func(testing.TB, popauth.Verifier, string) popauth.Verifier{
	"alone": func(_ testing.TB, v popauth.Verifier, _ string) popauth.Verifier { return v },
	"JWTOr": func(_ testing.TB, v popauth.Verifier, _ string) popauth.Verifier {
		return popauth.JWTOr(v, verifierFunc(nil))
	},
	"Issuers": func(tb testing.TB, v popauth.Verifier, iss string) popauth.Verifier {
		return newIssuers(tb, issuers.Options{Verifiers: map[string]popauth.Verifier{iss: v}})
	},
}

// withIssuers are both with a method Issuers, which the Guard holds them to.
type withIssuers struct {
	freshCache
	all []string
}

func (v withIssuers) Issuers() []string { return v.all }

// Whatever Verifier returns a Token again has remembered it.
func TestRememberedByOtherVerifiers(t *testing.T) {
	l := newLab(t)
	observed := popauth.Observation{}
	guard := func(v popauth.Verifier) *popauth.Guard {
		return l.guard(func(o *popauth.Options) {
			*o = popauth.Options{Verifier: v, Now: o.Now, Observe: func(_ context.Context, o popauth.Observation) { observed = o }}
		})
	}
	see := func(what string, g *popauth.Guard, r *http.Request, want bool) {
		t.Helper()
		send(g.Authenticate, r).passed(t)
		if observed.Remembered != want {
			t.Errorf("%s: observed as remembered: got %t, want %t", what, observed.Remembered, want)
		}
	}
	for name, behind := range cachedBehind {
		own := &cache{Verifier: jwtVerifierOf(t, l.issuer)}
		g := guard(behind(t, own, l.issuer.URL))
		token, other := l.bound(), l.bound()
		see(name, g, l.owner.Request("GET", "/", token), false)
		see(name, g, l.owner.Request("GET", "/", token), true)
		see(name, g, l.owner.Request("GET", "/", other), false)
		see(name, g, l.owner.Request("GET", "/", token), true)
	}
	token := l.issuer.Opaque(l.owner.Bound())
	g := guard(l.introspection())
	see("Introspection", g, l.owner.Request("GET", "/", token), false)
	see("Introspection", g, l.owner.Request("GET", "/", token), true)
	g = guard(l.introspection(func(o *introspection.Options) { o.Remember = -1 }))
	see("Introspection that remembers nothing", g, l.owner.Request("GET", "/", token), false)
	see("Introspection that remembers nothing", g, l.owner.Request("GET", "/", token), false)
}

// Of the requests that one verification is for, one alone has caused it.
func TestRememberedButByOne(t *testing.T) {
	l := newLab(t)
	token, err := popauth.TrustJWT(l.bound())
	if err != nil {
		t.Fatal(err)
	}
	g := l.opaqueGuard(known{token})
	var first atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		r := l.owner.Request("GET", "/", "e30.e30.e30")
		wg.Go(func() {
			if remembered, err := popauth.Remembered(g, r); err == nil && !remembered {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if got := first.Load(); got != 1 {
		t.Errorf("at first sight: got %d requests, want 1", got)
	}
}

// A Verifier that can tell is asked whether a token's key still counts when the source of the certificate has taken its time,
// and verifies it again only if it doesn't know; whoever can't tell is asked once.
func TestFreshAfterTheSource(t *testing.T) {
	l := newLab(t)
	for name, behind := range cachedBehind {
		for _, tt := range []struct {
			name  string
			of    func(*cache) popauth.Verifier
			once  bool // nothing is withdrawn: Verify is called once for each request
			alert bool // a withdrawn key is found out
		}{
			{"that can tell", func(c *cache) popauth.Verifier { return freshCache{c} }, true, true},
			{"that can tell, and says its issuers", func(c *cache) popauth.Verifier { return withIssuers{freshCache{c}, []string{l.issuer.URL}} }, true, true},
			{"that can't tell", func(c *cache) popauth.Verifier { return c }, name != "Issuers", name == "Issuers"}, // who may have another one by now
		} {
			own, meanwhile := &cache{Verifier: jwtVerifierOf(t, l.issuer)}, func() {}
			g := l.guard(func(o *popauth.Options) {
				*o = popauth.Options{Now: o.Now, Verifier: behind(t, tt.of(own), l.issuer.URL)}
				o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
					meanwhile()
					return popauth.TLSCertificate().Certificate(r)
				})
			})
			r := l.owner.Request("GET", "/", l.bound())
			for range 2 {
				before := own.asked.Load()
				send(g.Confirm, r).passed(t)
				if got := own.asked.Load() - before; got != 1 && tt.once {
					t.Errorf("%s, %s: Verify called %d times, want once", name, tt.name, got)
				}
			}
			meanwhile = func() { own.withdrawn.Store(true) }
			if o := send(g.Confirm, r); o.ran == tt.alert {
				t.Errorf("%s, %s: withdrawn meanwhile: got %+v", name, tt.name, o)
			}
		}
	}
}

// A tenant that is removed while the source of the certificate takes its time is none any more, nor does what another Verifier
// has found hold for the next one.
func TestTenantGoneWhileTheSourceWaits(t *testing.T) {
	l := newLab(t)
	o := l.issuer.Options()
	elsewhere, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: []string{"https://other.example.com"}, Keys: o.Keys, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, happens := range map[string]func(*issuers.Verifier){
		"removed":  func(i *issuers.Verifier) { i.Remove(l.issuer.URL) },
		"replaced": func(i *issuers.Verifier) { _ = i.Add(l.issuer.URL, elsewhere) },
	} {
		tenants := newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.issuer.URL: jwtVerifierOf(t, l.issuer)}})
		meanwhile := func() {}
		g := l.guard(func(o *popauth.Options) {
			*o = popauth.Options{Now: o.Now, Verifier: tenants}
			o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
				meanwhile()
				return popauth.TLSCertificate().Certificate(r)
			})
		})
		r := l.owner.Request("GET", "/", l.bound())
		remembers(t, g, r, false)
		remembers(t, g, r, true)
		meanwhile = func() { happens(tenants) }
		if o := send(g.Confirm, r); o.status != http.StatusUnauthorized || o.ran {
			t.Errorf("%s: got %+v, want 401", name, o)
		}
	}
}

// A token that ends while the source of the certificate takes its time ends by the Verifier's Leeway, where that is smaller than the Guard's, 30 s.
func TestTokenOverForTheVerifierWhileTheSourceWaits(t *testing.T) {
	l := newLab(t)
	o := l.issuer.Options()
	strict, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.clock.Now, Leeway: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	meanwhile := func() {}
	g := l.guard(func(o *popauth.Options) {
		*o = popauth.Options{Now: l.clock.Now, Verifier: strict}
		o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
			meanwhile()
			return popauth.TLSCertificate().Certificate(r)
		})
	})
	r := l.owner.Request("GET", "/", l.bound(cnf{"exp": l.clock.Now().Add(time.Minute).Unix()}))
	send(g.Confirm, r).passed(t)
	meanwhile = func() { l.clock.Advance(70 * time.Second) }
	send(g.Confirm, r).refused(t, 401, invalidToken)
}

// Nobody can change what a Token says.
func TestTokenIsImmutable(t *testing.T) {
	token, err := popauth.NewToken([]byte(`{"iss":"i","sub":"s","client_id":"c","jti":"j","aud":["a","b"],"scope":"x y","iat":1,"nbf":0,"exp":4102444800}`))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := []any{token.Issuer(), token.Subject(), token.ClientID(), token.TokenID(), token.Audience(), token.Scopes(), token.IssuedAt().Unix(), token.NotBefore().Unix(), token.ExpiresAt().Unix()}
		if want := []any{"i", "s", "c", "j", []string{"a", "b"}, []string{"x", "y"}, int64(1), int64(0), int64(4102444800)}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		token.Audience()[0], token.Scopes()[0] = "z", "z"
		_ = append(token.Scopes()[:1], "z")
	}
	token, err = popauth.NewToken([]byte(`{}`))
	if err != nil || token.Audience() != nil || token.Scopes() != nil || !token.IssuedAt().IsZero() || !token.NotBefore().IsZero() || !token.ExpiresAt().IsZero() {
		t.Errorf("of nothing: got %+v, %v", token, err)
	}
}
