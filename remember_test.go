package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A remembered token is in force exactly as long as it would be at first sight, and refused for the same reason.
func TestRememberedTokenTimes(t *testing.T) {
	l := lab.New(t)
	now := l.Clock.Now().Unix()
	for _, tt := range []struct {
		name   string
		claims lab.Claims
		after  time.Duration
		want   any
	}{
		{"a moment later", lab.Claims{}, 0, true},
		{"expires within the leeway", lab.Claims{"exp": now + 60}, 90*time.Second - 1, true},
		{"expired", lab.Claims{"exp": now + 60}, 90 * time.Second, popauth.ErrTokenExpired},
		{"long ago", lab.Claims{"exp": now + 60}, 24 * time.Hour, popauth.ErrTokenExpired},
		{"nbf within the leeway", lab.Claims{"nbf": now}, -30 * time.Second, true},
		{"clock set back before nbf", lab.Claims{"nbf": now, "iat": lab.Omit}, -30*time.Second - 1, popauth.ErrTokenNotYetValid},
		{"iat within the leeway", lab.Claims{}, -30 * time.Second, true},
		{"clock set back before iat", lab.Claims{}, -30*time.Second - 1, popauth.ErrTokenNotYetValid},
		{"no iat, no nbf", lab.Claims{"iat": lab.Omit}, -time.Hour, true},
		{"expired, and before nbf", lab.Claims{"exp": now - 25, "nbf": now + 25}, 10 * time.Second, popauth.ErrTokenExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := popauthtest.NewClock(l.Clock.Now())
			keys, err := popauth.StaticKeys(l.Issuer.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			g := l.Guard(func(o *popauth.Options) { o.Now, o.Keys = clock.Now, keys })
			r := l.Owner.Request("GET", "/", l.Bound(tt.claims))
			lab.Remembers(t, g, r, false)
			lab.Remembers(t, g, r, true)
			clock.Advance(tt.after)
			lab.Alike(t, g, r)
			lab.Remembers(t, g, r, tt.want)
		})
	}
}

// A token outlives neither its key nor the time in which the issuer's keys may be used, however they went.
func TestRememberedTokenKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *lab.Lab, *popauth.RemoteKeys)
		want   any
	}{
		{"nothing", func(*testing.T, *lab.Lab, *popauth.RemoteKeys) {}, true},
		{"fetched again, the same", func(t *testing.T, _ *lab.Lab, k *popauth.RemoteKeys) { lab.Preload(t, k) }, true},
		{"another key beside it", func(t *testing.T, l *lab.Lab, k *popauth.RemoteKeys) {
			l.Issuer.TokenWith(lab.Claims{"alg": "ES512"})
			lab.Preload(t, k)
		}, false},
		{"withdrawn", func(t *testing.T, l *lab.Lab, k *popauth.RemoteKeys) {
			l.Issuer.Rotate()
			lab.Preload(t, k)
		}, popauth.ErrTokenKey},
		{"too old, and the issuer can't be reached", func(_ *testing.T, l *lab.Lab, _ *popauth.RemoteKeys) {
			l.Issuer.Handle("/jwks", http.NotFoundHandler())
			l.Clock.Advance(25 * time.Hour)
		}, popauth.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lab.New(t)
			o := l.Issuer.Options()
			keys := o.Keys.(*popauth.RemoteKeys)
			g := l.Guard(func(n *popauth.Options) { n.Keys = keys })
			r := l.Owner.Request("GET", "/", l.Bound(lab.Claims{"exp": l.Clock.Now().Add(48 * time.Hour).Unix()}))
			lab.Remembers(t, g, r, false)
			lab.Remembers(t, g, r, true)
			tt.change(t, l, keys)
			lab.Remembers(t, g, r, tt.want)
			lab.Alike(t, g, r)
		})
	}
}

// choosy is a KeySource that has RemoteKeys in it, methods and all, and doesn't let every key pass.
type choosy struct {
	*popauth.RemoteKeys
	refuse bool
}

func (c *choosy) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	if c.refuse {
		return func(*jwt.Token) (any, error) { return nil, popauth.ErrTokenKey }
	}
	return c.RemoteKeys.KeyfuncCtx(ctx)
}

// Nothing is remembered where nobody tells when it stops being true.
func TestNotRemembered(t *testing.T) {
	l := lab.New(t)
	good := l.Owner.Request("GET", "/", l.Bound())
	own := &choosy{RemoteKeys: l.Issuer.Options().Keys.(*popauth.RemoteKeys)}
	trusts := lab.VerifierFunc(func(_ context.Context, token string) (*popauth.Token, error) { return popauth.TrustJWT(token) })
	for _, tt := range []struct {
		name   string
		change func(*popauth.Options)
	}{
		{"switched off", func(o *popauth.Options) { o.Remember = -1 }},
		{"a KeySource of one's own", func(o *popauth.Options) { o.Keys = own }},
		{"a Verifier of one's own", func(o *popauth.Options) { *o = popauth.Options{Verifier: trusts, Observe: lab.Note} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.Guard(tt.change)
			for range 3 {
				lab.Remembers(t, g, good, false)
			}
			if n := popauth.RememberedTokens(g); n != 0 {
				t.Errorf("tokens: got %d, want none", n)
			}
		})
	}
	g := l.Guard(func(o *popauth.Options) { o.Keys = own })
	lab.Remembers(t, g, good, false)
	own.refuse = true
	lab.Remembers(t, g, good, popauth.ErrTokenKey)
}

// A refusal leaves nothing behind, not even for what is right about it.
func TestRefusalsAreNotRemembered(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	good := l.Bound()
	for name, token := range map[string]string{
		"signature": good[:len(good)-8] + "AAAAAAAA",
		"audience":  l.Bound(lab.Claims{"aud": "x"}),
		"issuer":    l.Bound(lab.Claims{"iss": "x"}),
		"expired":   l.Bound(lab.Claims{"exp": 1}),
		"future":    l.Bound(lab.Claims{"nbf": l.Clock.Now().Add(time.Hour).Unix()}),
		"garbage":   "a.b.c",
	} {
		r := l.Owner.Request("GET", "/", token)
		lab.Alike(t, g, r)
		if _, err := g.Check(r); err == nil || popauth.RememberedTokens(g) != 0 {
			t.Errorf("%s: got %v and %d tokens, want a refusal and none", name, err, popauth.RememberedTokens(g))
		}
	}
	lab.Alike(t, g, l.Owner.Request("GET", "/", good))
	if n := popauth.RememberedTokens(g); n != 1 {
		t.Errorf("tokens: got %d, want 1", n)
	}
}

// The binding, the policies and revocation are asked about with every request.
func TestRememberedTokenIsNoMoreThanAToken(t *testing.T) {
	l := lab.New(t)
	revoked, asked := false, 0
	g := l.Guard(func(o *popauth.Options) {
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { asked++; return revoked, nil }
	})
	token := l.Bound()
	r := l.Owner.Request("GET", "/", token)
	lab.Remembers(t, g, r, false)
	lab.Remembers(t, g, r, true)
	for reason, other := range map[popauth.Reason]*http.Request{
		popauth.ErrCertificateMismatch: l.Thief.Request("GET", "/", token),
		popauth.ErrCertificateMissing:  (&popauthtest.Client{}).Request("GET", "/", token),
	} {
		lab.Remembers(t, g, other, reason)
		lab.Alike(t, g, other)
	}
	if _, err := g.Check(r, popauth.Scope("orders.write")); !errors.Is(err, popauth.ErrScope) {
		t.Errorf("got %v, want %v", err, popauth.ErrScope)
	}
	asked = 0
	lab.Remembers(t, g, r, true)
	if asked != 1 {
		t.Errorf("Revoked asked: got %d, want 1", asked)
	}
	revoked = true
	lab.Remembers(t, g, r, popauth.ErrTokenRevoked)
	o := l.Issuer.Options("https://another.example.com")
	o.Keys = popauthKeys(t, l)
	o.Observe = lab.Note
	other, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	lab.Remembers(t, other, r, popauth.ErrTokenAudience)
}

func popauthKeys(t *testing.T, l *lab.Lab) popauth.KeySource {
	t.Helper()
	keys, err := popauth.StaticKeys(l.Issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestRememberOptions(t *testing.T) {
	l := lab.New(t)
	once, err := popauth.TrustJWT(l.Bound())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*popauth.Options)
		ok     bool
	}{
		{"default", func(*popauth.Options) {}, true},
		{"one", func(o *popauth.Options) { o.Remember = 1 }, true},
		{"none", func(o *popauth.Options) { o.Remember = -1 }, true},
		{"too many", func(o *popauth.Options) { o.Remember = 10_000_001 }, false},
		{"with keys that can't tell", func(o *popauth.Options) {
			o.Remember, o.Keys = 1, &choosy{RemoteKeys: o.Keys.(*popauth.RemoteKeys)}
		}, false},
		{"with a Verifier", func(o *popauth.Options) { *o = popauth.Options{Verifier: lab.Known{Is: once}, Remember: 1} }, false},
		{"none with a Verifier", func(o *popauth.Options) { *o = popauth.Options{Verifier: lab.Known{Is: once}, Remember: -1} }, true},
	} {
		o := l.Issuer.Options()
		tt.change(&o)
		if _, err := popauth.New(o); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want an error: %t", tt.name, err, !tt.ok)
		}
	}
}
