package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A remembered token is in force exactly as long as it would be at first sight, and refused for the same reason.
func TestRememberedTokenTimes(t *testing.T) {
	l := newLab(t)
	now := l.clock.Now().Unix()
	for _, tt := range []struct {
		name   string
		claims cnf
		after  time.Duration
		want   any
	}{
		{"a moment later", cnf{}, 0, true},
		{"expires within the leeway", cnf{"exp": now + 60}, 90*time.Second - 1, true},
		{"expired", cnf{"exp": now + 60}, 90 * time.Second, popauth.ErrTokenExpired},
		{"long ago", cnf{"exp": now + 60}, 24 * time.Hour, popauth.ErrTokenExpired},
		{"nbf within the leeway", cnf{"nbf": now}, -30 * time.Second, true},
		{"clock set back before nbf", cnf{"nbf": now, "iat": omit}, -30*time.Second - 1, popauth.ErrTokenNotYetValid},
		{"iat within the leeway", cnf{}, -30 * time.Second, true},
		{"clock set back before iat", cnf{}, -30*time.Second - 1, popauth.ErrTokenNotYetValid},
		{"no iat, no nbf", cnf{"iat": omit}, -time.Hour, true},
		{"expired, and before nbf", cnf{"exp": now - 25, "nbf": now + 25}, 10 * time.Second, popauth.ErrTokenExpired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := popauthtest.NewClock(l.clock.Now())
			keys, err := popauth.StaticKeys(l.issuer.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			g := l.guard(func(o *popauth.Options) { o.Now, o.Keys = clock.Now, keys })
			r := l.owner.Request("GET", "/", l.bound(tt.claims))
			remembers(t, g, r, false)
			remembers(t, g, r, true)
			clock.Advance(tt.after)
			alike(t, g, r)
			remembers(t, g, r, tt.want)
		})
	}
}

// A token outlives neither its key nor the time in which the issuer's keys may be used, however they went.
func TestRememberedTokenKeys(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *lab, *popauth.RemoteKeys)
		want   any
	}{
		{"nothing", func(*testing.T, *lab, *popauth.RemoteKeys) {}, true},
		{"fetched again, the same", func(t *testing.T, _ *lab, k *popauth.RemoteKeys) { preload(t, k) }, true},
		{"another key beside it", func(t *testing.T, l *lab, k *popauth.RemoteKeys) {
			l.issuer.TokenWith(cnf{"alg": "ES512"})
			preload(t, k)
		}, false},
		{"withdrawn", func(t *testing.T, l *lab, k *popauth.RemoteKeys) {
			l.issuer.Rotate()
			preload(t, k)
		}, popauth.ErrTokenKey},
		{"too old, and the issuer can't be reached", func(_ *testing.T, l *lab, _ *popauth.RemoteKeys) {
			l.issuer.Handle("/jwks", http.NotFoundHandler())
			l.clock.Advance(25 * time.Hour)
		}, popauth.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			o := l.issuer.Options()
			keys := o.Keys.(*popauth.RemoteKeys)
			g := l.guard(func(n *popauth.Options) { n.Keys = keys })
			r := l.owner.Request("GET", "/", l.bound(cnf{"exp": l.clock.Now().Add(48 * time.Hour).Unix()}))
			remembers(t, g, r, false)
			remembers(t, g, r, true)
			tt.change(t, l, keys)
			remembers(t, g, r, tt.want)
			alike(t, g, r)
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
	l := newLab(t)
	good := l.owner.Request("GET", "/", l.bound())
	own := &choosy{RemoteKeys: l.issuer.Options().Keys.(*popauth.RemoteKeys)}
	trusts := verifierFunc(func(_ context.Context, token string) (*popauth.Token, error) { return popauth.TrustJWT(token) })
	for _, tt := range []struct {
		name   string
		change func(*popauth.Options)
	}{
		{"switched off", func(o *popauth.Options) { o.Remember = -1 }},
		{"a KeySource of one's own", func(o *popauth.Options) { o.Keys = own }},
		{"a Verifier of one's own", func(o *popauth.Options) { *o = popauth.Options{Verifier: trusts} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := l.guard(tt.change)
			for range 3 {
				remembers(t, g, good, false)
			}
			if n := popauth.RememberedTokens(g); n != 0 {
				t.Errorf("tokens: got %d, want none", n)
			}
		})
	}
	g := l.guard(func(o *popauth.Options) { o.Keys = own })
	remembers(t, g, good, false)
	own.refuse = true
	remembers(t, g, good, popauth.ErrTokenKey)
}

// A refusal leaves nothing behind, not even for what is right about it.
func TestRefusalsAreNotRemembered(t *testing.T) {
	l := newLab(t)
	g := l.guard()
	good := l.bound()
	for name, token := range map[string]string{
		"signature": good[:len(good)-8] + "AAAAAAAA",
		"audience":  l.bound(cnf{"aud": "x"}),
		"issuer":    l.bound(cnf{"iss": "x"}),
		"expired":   l.bound(cnf{"exp": 1}),
		"future":    l.bound(cnf{"nbf": l.clock.Now().Add(time.Hour).Unix()}),
		"garbage":   "a.b.c",
	} {
		r := l.owner.Request("GET", "/", token)
		alike(t, g, r)
		if _, err := g.Check(r); err == nil || popauth.RememberedTokens(g) != 0 {
			t.Errorf("%s: got %v and %d tokens, want a refusal and none", name, err, popauth.RememberedTokens(g))
		}
	}
	alike(t, g, l.owner.Request("GET", "/", good))
	if n := popauth.RememberedTokens(g); n != 1 {
		t.Errorf("tokens: got %d, want 1", n)
	}
}

// The binding, the policies and revocation are asked about with every request.
func TestRememberedTokenIsNoMoreThanAToken(t *testing.T) {
	l := newLab(t)
	revoked, asked := false, 0
	g := l.guard(func(o *popauth.Options) {
		o.Revoked = func(context.Context, *popauth.Token) (bool, error) { asked++; return revoked, nil }
	})
	token := l.bound()
	r := l.owner.Request("GET", "/", token)
	remembers(t, g, r, false)
	remembers(t, g, r, true)
	for reason, other := range map[popauth.Reason]*http.Request{
		popauth.ErrCertificateMismatch: l.thief.Request("GET", "/", token),
		popauth.ErrCertificateMissing:  (&popauthtest.Client{}).Request("GET", "/", token),
	} {
		remembers(t, g, other, reason)
		alike(t, g, other)
	}
	if _, err := g.Check(r, popauth.Scope("orders.write")); !errors.Is(err, popauth.ErrScope) {
		t.Errorf("got %v, want %v", err, popauth.ErrScope)
	}
	asked = 0
	remembers(t, g, r, true)
	if asked != 1 {
		t.Errorf("Revoked asked: got %d, want 1", asked)
	}
	revoked = true
	remembers(t, g, r, popauth.ErrTokenRevoked)
	o := l.issuer.Options("https://another.example.com")
	o.Keys = popauthKeys(t, l)
	other, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	remembers(t, other, r, popauth.ErrTokenAudience)
}

func popauthKeys(t *testing.T, l *lab) popauth.KeySource {
	t.Helper()
	keys, err := popauth.StaticKeys(l.issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestRememberOptions(t *testing.T) {
	l := newLab(t)
	once, err := popauth.TrustJWT(l.bound())
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
		{"with a Verifier", func(o *popauth.Options) { *o = popauth.Options{Verifier: known{once}, Remember: 1} }, false},
		{"none with a Verifier", func(o *popauth.Options) { *o = popauth.Options{Verifier: known{once}, Remember: -1} }, true},
	} {
		o := l.issuer.Options()
		tt.change(&o)
		if _, err := popauth.New(o); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want an error: %t", tt.name, err, !tt.ok)
		}
	}
}
