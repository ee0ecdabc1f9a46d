package decisions_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// changing is a Verifier whose word about a token changes.
type changing struct {
	popauth.Verifier
	now func(*popauth.Token, error) (*popauth.Token, error)
}

func (v *changing) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	t, err := v.Verifier.Verify(ctx, token)
	if v.now != nil {
		return v.now(t, err)
	}
	return t, err
}

// A decision is held against what is so now.
func TestRecheck(t *testing.T) {
	scope, admin := popauth.Scope("orders.read"), popauth.Scope("admin")
	for _, tt := range []struct {
		name     string
		happens  func(*recheckLab)
		policies []popauth.Policy
		want     popauth.Reason // "" if it still holds
	}{
		{name: "nothing", happens: func(*recheckLab) {}, policies: []popauth.Policy{scope}},
		{name: "nothing, without policies", happens: func(*recheckLab) {}},
		{name: "a policy says no", happens: func(*recheckLab) {}, policies: []popauth.Policy{admin}, want: popauth.ErrScope},
		{name: "minutes", happens: func(l *recheckLab) { l.Clock.Advance(4 * time.Minute) }, policies: []popauth.Policy{scope}},
		{name: "the token expires", happens: func(l *recheckLab) { l.Clock.Advance(24 * time.Hour) }, want: popauth.ErrTokenExpired},
		{name: "the token is revoked", happens: func(l *recheckLab) { l.revoked = true }, want: popauth.ErrTokenRevoked},
		{name: "nobody can tell", happens: func(l *recheckLab) { l.down = errors.New("down") }, want: popauth.ErrUnavailable},
		{name: "the Verifier says no", happens: nowSays(nil, popauth.ErrTokenInvalid), want: popauth.ErrTokenInvalid},
		{name: "another subject", happens: nowSays(popauthtest.Claims{"sub": "mallory"}, nil), want: popauth.ErrTokenInvalid},
		{name: "another client", happens: nowSays(popauthtest.Claims{"client_id": "other"}, nil), want: popauth.ErrTokenInvalid},
		{name: "another issuer", happens: nowSays(popauthtest.Claims{"iss": "https://other.example"}, nil), want: popauth.ErrTokenIssuer},
		{name: "no binding any more", happens: nowSays(popauthtest.Claims{"cnf": popauthtest.Omit}, nil), want: popauth.ErrTokenInvalid},
		{name: "another binding", happens: nowSays(popauthtest.Claims{"cnf": lab.Claims{"x5t#S256": strings.Repeat("A", 43)}}, nil),
			want: popauth.ErrTokenInvalid},
		{name: "fewer scopes", happens: nowSays(popauthtest.Claims{"scope": "other"}, nil), policies: []popauth.Policy{scope},
			want: popauth.ErrScope},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newRecheckLab(t)
			r := lab.Held(t, l.guard.Confirm, l.Owner.Request("GET", "/", l.Bound()))
			before := len(l.seen)
			tt.happens(l)
			for range 2 {
				p, err := l.guard.Recheck(r, tt.policies...)
				if tt.want == "" {
					if err != nil || p == nil || p.Subject == "" || p.Certificate == nil {
						t.Errorf("got %v, %v, want it to hold", p, err)
					}
					continue
				}
				var e *popauth.Error
				if p != nil || !errors.As(err, &e) || e.Reason != tt.want {
					t.Errorf("got %v, %v, want %v", p, err, tt.want)
				}
				if !strings.Contains(l.log.String(), "reason=\""+string(tt.want)) {
					t.Errorf("got %q, want a line with %q", l.log.String(), tt.want)
				}
			}
			after := l.seen[before:]
			if len(after) != 2 || after[1].Stage != popauth.StageRecheck || after[1].Reason != tt.want || after[1].Binding != "x5t#S256" {
				t.Errorf("observed: got %+v, want two of StageRecheck", after)
			}
		})
	}
}

type recheckLab struct {
	*lab.Lab
	guard    *popauth.Guard
	verifier *changing
	revoked  bool
	down     error
	log      *bytes.Buffer
	seen     []popauth.Observation
}

func newRecheckLab(t *testing.T) *recheckLab {
	l := &recheckLab{Lab: lab.New(t), log: &bytes.Buffer{}}
	o := l.Issuer.Options()
	jwts, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: l.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	l.verifier = &changing{Verifier: jwts}
	l.guard, err = popauth.New(popauth.Options{
		Verifier: lab.IssuingVerifier{Verifier: l.verifier, All: []string{o.Issuer}}, Now: l.Clock.Now,
		Logger:  slog.New(slog.NewTextHandler(l.log, nil)),
		Revoked: func(context.Context, *popauth.Token) (bool, error) { return l.revoked, l.down },
		Observe: func(_ context.Context, o popauth.Observation) { l.seen = append(l.seen, o) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// nowSays makes the Verifier say something else of every token; an error, or other claims.
func nowSays(claims popauthtest.Claims, err error) func(*recheckLab) {
	return func(l *recheckLab) {
		l.verifier.now = func(*popauth.Token, error) (*popauth.Token, error) {
			if err != nil {
				return nil, err
			}
			return popauth.TrustJWT(l.Bound(claims))
		}
	}
}

// What no stage has let pass is not held: another Guard's, another request's, nobody's.
func TestRecheckOfWhatWasNotDecided(t *testing.T) {
	l := lab.New(t)
	g, other := l.Guard(), l.Guard()
	good := l.Owner.Request("GET", "/", l.Bound())
	inside := lab.Held(t, g.Authenticate, good)
	derived := func(change func(*http.Request)) *http.Request {
		r := inside.Clone(inside.Context())
		change(r)
		return r
	}
	for name, r := range map[string]*http.Request{
		"outside":           good,
		"another token":     derived(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+l.Bound()) }),
		"no token":          derived(func(r *http.Request) { r.Header.Del("Authorization") }),
		"another caller":    derived(func(r *http.Request) { r.TLS = l.Thief.Request("GET", "/", "").TLS }),
		"another's context": l.Thief.Request("GET", "/", l.Bound()).WithContext(inside.Context()),
	} {
		if p, err := g.Recheck(r); p != nil || !errors.Is(err, popauth.ErrUndecided) {
			t.Errorf("%s: got %v, %v, want ErrUndecided", name, p, err)
		}
	}
	if _, err := g.Recheck(inside); err != nil {
		t.Errorf("the request itself: got %v", err)
	}
	if p, err := other.Recheck(inside); p != nil || !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("another Guard: got %v, %v, want ErrUndecided", p, err)
	}
	if p, err := (&popauth.Guard{}).Recheck(inside); p != nil || !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("zero Guard: got %v, %v, want ErrUnconfigured", p, err)
	}
	forged := good.WithContext(popauth.NewContext(context.Background(), &popauth.Principal{Subject: "root"}))
	if p, err := g.Recheck(forged); p != nil || !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("NewContext: got %v, %v, want ErrUndecided", p, err)
	}
}

// Of a Verifier that looks at no time, as one that trusts another middleware, nobody else holds the token's end.
func TestRecheckHoldsTheEnd(t *testing.T) {
	l := lab.New(t)
	trusts := lab.VerifierFunc(func(_ context.Context, token string) (*popauth.Token, error) { return popauth.TrustJWT(token) })
	g, err := popauth.New(popauth.Options{Verifier: trusts, Now: l.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	request := l.Owner.Request("GET", "/", l.Bound())
	request.Header.Set("Authorization", strings.Replace(request.Header.Get("Authorization"), " ", "  ", 1)) // RFC 9110, section 11.4
	r := lab.Held(t, g.Confirm, request)
	if _, err := g.Recheck(r); err != nil {
		t.Errorf("got %v, want it to hold", err)
	}
	l.Clock.Advance(24 * time.Hour)
	if p, err := g.Recheck(r); p != nil || !errors.Is(err, popauth.ErrTokenExpired) {
		t.Errorf("a day later: got %v, %v, want ErrTokenExpired", p, err)
	}
}

// Members of cnf have no order, and what names them may change it.
func TestRecheckBindingsInAnotherOrder(t *testing.T) {
	l := lab.New(t)
	key := popauthtest.NewProofKey(t, "")
	orders := []string{`{"jkt":"` + key.Thumbprint() + `","x5t#S256":"` + l.Owner.Thumbprint() + `"}`,
		`{"x5t#S256":"` + l.Owner.Thumbprint() + `","jkt":"` + key.Thumbprint() + `"}`}
	n := 0
	v := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
		n++
		return popauth.NewToken([]byte(`{"sub":"a","cnf":` + orders[n%2] + `}`))
	})
	g, err := popauth.New(popauth.Options{Verifier: v, Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	r := key.Request("GET", "https://api.example.com/", "x")
	r.TLS = l.Owner.Request("GET", "/", "").TLS
	inside := lab.Held(t, g.Confirm, r)
	for range 2 {
		if _, err := g.Recheck(inside); err != nil {
			t.Error(err)
		}
	}
}

// A proof is good for one use. To hold the decision again takes none, and the token's hash need not be sent again.
func TestRecheckTakesNoProof(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := lab.Held(t, a.Guard.Confirm, a.Request())
	used := a.Store.Len()
	a.Clock.Advance(20 * time.Minute) // the proof is long over, the token is not
	for range 3 {
		if _, err := a.Guard.Recheck(r); err != nil {
			t.Error(err)
		}
	}
	if a.Store.Len() != used {
		t.Errorf("got %d proofs used, want %d", a.Store.Len(), used)
	}
	a.Clock.Advance(time.Hour)
	if _, err := a.Guard.Recheck(r); !errors.Is(err, popauth.ErrTokenExpired) {
		t.Errorf("got %v, want ErrTokenExpired", err)
	}
}

// The issuer's word about an opaque token is asked for again.
func TestRecheckOpaque(t *testing.T) {
	l := lab.New(t)
	v := l.Introspection(func(o *introspection.Options) { o.Now = l.Clock.Now })
	g := l.OpaqueGuard(v)
	token := l.Issuer.Opaque(l.Owner.Bound())
	r := lab.Held(t, g.Confirm, l.Owner.Request("GET", "/", token))
	if _, err := g.Recheck(r); err != nil {
		t.Fatal(err)
	}
	l.Issuer.Revoke(token)
	l.Clock.Advance(11 * time.Second)
	if _, err := g.Recheck(r); !errors.Is(err, popauth.ErrTokenInvalid) {
		t.Errorf("got %v, want ErrTokenInvalid", err)
	}
}
