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
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
)

// freshCache is one that can tell.
type freshCache struct{ *lab.Cache }

var _ popauth.CachingVerifier = freshCache{}

func (c freshCache) Fresh(token string, t *popauth.Token) bool {
	kept, _ := c.Tokens.Load(token)
	return kept == t && !c.Withdrawn.Load()
}

// cachedBehind are the ways in which a Guard can have a Verifier of somebody else's.
var cachedBehind = map[string]func(testing.TB, popauth.Verifier, string) popauth.Verifier{
	"alone": func(_ testing.TB, v popauth.Verifier, _ string) popauth.Verifier { return v },
	"JWTOr": func(_ testing.TB, v popauth.Verifier, _ string) popauth.Verifier {
		return popauth.JWTOr(v, lab.VerifierFunc(nil))
	},
	"Issuers": func(tb testing.TB, v popauth.Verifier, iss string) popauth.Verifier {
		return lab.NewIssuers(tb, issuers.Options{Verifiers: map[string]popauth.Verifier{iss: v}})
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
	l := lab.New(t)
	observed := popauth.Observation{}
	guard := func(v popauth.Verifier) *popauth.Guard {
		return l.Guard(func(o *popauth.Options) {
			*o = popauth.Options{Verifier: v, Now: o.Now, Observe: func(_ context.Context, o popauth.Observation) { observed = o }}
		})
	}
	see := func(what string, g *popauth.Guard, r *http.Request, want bool) {
		t.Helper()
		lab.Send(g.Authenticate, r).Passed(t)
		if observed.Remembered != want {
			t.Errorf("%s: observed as remembered: got %t, want %t", what, observed.Remembered, want)
		}
	}
	for name, behind := range cachedBehind {
		own := &lab.Cache{Verifier: lab.VerifierOf(t, l.Issuer)}
		g := guard(behind(t, own, l.Issuer.URL))
		token, other := l.Bound(), l.Bound()
		see(name, g, l.Owner.Request("GET", "/", token), false)
		see(name, g, l.Owner.Request("GET", "/", token), true)
		see(name, g, l.Owner.Request("GET", "/", other), false)
		see(name, g, l.Owner.Request("GET", "/", token), true)
	}
	token := l.Issuer.Opaque(l.Owner.Bound())
	g := guard(l.Introspection())
	see("Introspection", g, l.Owner.Request("GET", "/", token), false)
	see("Introspection", g, l.Owner.Request("GET", "/", token), true)
	g = guard(l.Introspection(func(o *introspection.Options) { o.Remember = -1 }))
	see("Introspection that remembers nothing", g, l.Owner.Request("GET", "/", token), false)
	see("Introspection that remembers nothing", g, l.Owner.Request("GET", "/", token), false)
}

// Of the requests that one verification is for, one alone has caused it.
func TestRememberedButByOne(t *testing.T) {
	l := lab.New(t)
	token, err := popauth.TrustJWT(l.Bound())
	if err != nil {
		t.Fatal(err)
	}
	g := l.OpaqueGuard(lab.Known{Is: token})
	var first atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		r := l.Owner.Request("GET", "/", "e30.e30.e30")
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
	l := lab.New(t)
	for name, behind := range cachedBehind {
		for _, tt := range []struct {
			name  string
			of    func(*lab.Cache) popauth.Verifier
			once  bool // nothing is withdrawn: Verify is called once for each request
			alert bool // a withdrawn key is found out
		}{
			{"that can tell", func(c *lab.Cache) popauth.Verifier { return freshCache{c} }, true, true},
			{"that can tell, and says its issuers", func(c *lab.Cache) popauth.Verifier {
				return withIssuers{freshCache{c}, []string{l.Issuer.URL}}
			}, true, true},
			// who may have another one by now
			{"that can't tell", func(c *lab.Cache) popauth.Verifier { return c }, name != "Issuers", name == "Issuers"},
		} {
			own, meanwhile := &lab.Cache{Verifier: lab.VerifierOf(t, l.Issuer)}, func() {}
			g := l.Guard(func(o *popauth.Options) {
				*o = popauth.Options{Now: o.Now, Verifier: behind(t, tt.of(own), l.Issuer.URL)}
				o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
					meanwhile()
					return popauth.TLSCertificate().Certificate(r)
				})
			})
			r := l.Owner.Request("GET", "/", l.Bound())
			for range 2 {
				before := own.Asked.Load()
				lab.Send(g.Confirm, r).Passed(t)
				if got := own.Asked.Load() - before; got != 1 && tt.once {
					t.Errorf("%s, %s: Verify called %d times, want once", name, tt.name, got)
				}
			}
			meanwhile = func() { own.Withdrawn.Store(true) }
			if o := lab.Send(g.Confirm, r); o.Ran == tt.alert {
				t.Errorf("%s, %s: withdrawn meanwhile: got %+v", name, tt.name, o)
			}
		}
	}
}

// A tenant that is removed while the source of the certificate takes its time is none any more, nor does what another Verifier
// has found hold for the next one.
func TestTenantGoneWhileTheSourceWaits(t *testing.T) {
	l := lab.New(t)
	o := l.Issuer.Options()
	elsewhere, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: []string{"https://other.example.com"},
		Keys: o.Keys, Now: o.Now})
	if err != nil {
		t.Fatal(err)
	}
	for name, happens := range map[string]func(*issuers.Verifier){
		"removed":  func(i *issuers.Verifier) { i.Remove(l.Issuer.URL) },
		"replaced": func(i *issuers.Verifier) { _ = i.Add(l.Issuer.URL, elsewhere) },
	} {
		tenants := lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.Issuer.URL: lab.VerifierOf(t, l.Issuer)}})
		meanwhile := func() {}
		g := l.Guard(func(o *popauth.Options) {
			*o = popauth.Options{Now: o.Now, Verifier: tenants, Observe: lab.Note}
			o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
				meanwhile()
				return popauth.TLSCertificate().Certificate(r)
			})
		})
		r := l.Owner.Request("GET", "/", l.Bound())
		lab.Remembers(t, g, r, false)
		lab.Remembers(t, g, r, true)
		meanwhile = func() { happens(tenants) }
		if o := lab.Send(g.Confirm, r); o.Status != http.StatusUnauthorized || o.Ran {
			t.Errorf("%s: got %+v, want 401", name, o)
		}
	}
}

// A token that ends while the source of the certificate takes its time ends by the Verifier's Leeway, where that is
// smaller than the Guard's, 30 s.
func TestTokenOverForTheVerifierWhileTheSourceWaits(t *testing.T) {
	l := lab.New(t)
	o := l.Issuer.Options()
	strict, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.Clock.Now,
		Leeway: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	meanwhile := func() {}
	g := l.Guard(func(o *popauth.Options) {
		*o = popauth.Options{Now: l.Clock.Now, Verifier: strict}
		o.Certificate = popauth.CertificateFunc(func(r *http.Request) (*popauth.Certificate, error) {
			meanwhile()
			return popauth.TLSCertificate().Certificate(r)
		})
	})
	r := l.Owner.Request("GET", "/", l.Bound(lab.Claims{"exp": l.Clock.Now().Add(time.Minute).Unix()}))
	lab.Send(g.Confirm, r).Passed(t)
	meanwhile = func() { l.Clock.Advance(70 * time.Second) }
	lab.Send(g.Confirm, r).Refused(t, 401, lab.InvalidToken)
}

// Nobody can change what a Token says.
func TestTokenIsImmutable(t *testing.T) {
	token, err := popauth.NewToken([]byte(`{"iss":"i","sub":"s","client_id":"c","jti":"j","aud":["a","b"],"scope":"x ` +
		`y","iat":1,"nbf":0,"exp":4102444800}`))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got := []any{token.Issuer(), token.Subject(), token.ClientID(), token.TokenID(), token.Audience(), token.Scopes(),
			token.IssuedAt().Unix(), token.NotBefore().Unix(), token.ExpiresAt().Unix()}
		if want := []any{"i", "s", "c", "j", []string{"a", "b"}, []string{"x", "y"}, int64(1), int64(0),
			int64(4102444800)}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		token.Audience()[0], token.Scopes()[0] = "z", "z"
		_ = append(token.Scopes()[:1], "z")
	}
	token, err = popauth.NewToken([]byte(`{}`))
	if err != nil || token.Audience() != nil || token.Scopes() != nil || !token.IssuedAt().IsZero() || !token.NotBefore().IsZero() ||
		!token.ExpiresAt().IsZero() {
		t.Errorf("of nothing: got %+v, %v", token, err)
	}
}
