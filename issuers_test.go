package popauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func kidOf(tb testing.TB, jwks []byte) string {
	tb.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(jwks, &set); err != nil {
		tb.Fatal(err)
	}
	return set.Keys[0].Kid
}

// TestIssuersThieves is every issuer's tokens in every hand, with the same kid at both.
func TestIssuersThieves(t *testing.T) {
	l := newLab(t, "ES256")
	other, stranger := popauthtest.NewIssuer(t, "ES256"), popauthtest.NewIssuer(t, "ES256")
	other.Now, stranger.Now = l.clock.Now, l.clock.Now
	kid := kidOf(t, l.issuer.JWKS())
	renamed := bytes.ReplaceAll(other.JWKS(), []byte(kidOf(t, other.JWKS())), []byte(kid))
	other.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(renamed) }))
	guard := l.opaqueGuard(newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{
		l.issuer.URL: jwtVerifierOf(t, l.issuer), other.URL: jwtVerifierOf(t, other),
	}}))
	named := popauthtest.Claims{"kid": kid}
	for name, tt := range map[string]struct {
		token string
		pass  bool
	}{
		"one":                        {l.issuer.TokenWith(named, l.owner.Bound()), true},
		"other":                      {other.TokenWith(named, l.owner.Bound()), true},
		"one's name, other's key":    {other.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": l.issuer.URL}), false},
		"other's name, one's key":    {l.issuer.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": other.URL}), false},
		"stranger":                   {stranger.TokenWith(named, l.owner.Bound()), false},
		"stranger under one's name":  {stranger.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": l.issuer.URL}), false},
		"one with a slash":           {l.issuer.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": l.issuer.URL + "/"}), false},
		"without iss":                {l.issuer.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": popauthtest.Omit}), false},
		"empty iss":                  {l.issuer.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": ""}), false},
		"two issuers":                {l.issuer.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"iss": []string{l.issuer.URL, other.URL}}), false},
		"expired":                    {other.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"exp": 1}), false},
		"unsigned":                   {other.TokenWith(popauthtest.Claims{"alg": "none"}, l.owner.Bound()), false},
		"for another API":            {other.TokenWith(named, l.owner.Bound(), popauthtest.Claims{"aud": "x"}), false},
		"one's name twice":           {l.issuer.Sign([]byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte(`{"iss":"`+other.URL+`","iss":"`+l.issuer.URL+`"}`), ""), false},
		"other's name in capitals":   {l.issuer.Sign([]byte(`{"alg":"ES256","typ":"at+jwt"}`), []byte(`{"iss":"`+other.URL+`","ISS":"`+l.issuer.URL+`"}`), ""), false},
		"not a JWT":                  {"opaque", false},
		"longer than tokens are":     {strings.Repeat("e", 16<<10) + ".e30.x", false},
		"payload that is no payload": {"e30.W10.AAAA", false},
	} {
		for who, caller := range map[string]*popauthtest.Client{"owner": l.owner, "thief": l.thief, "nobody": nil} {
			got := send(guard.Confirm, caller.Request("GET", "/", tt.token))
			if pass := tt.pass && who == "owner"; got.ran != pass || !pass && got.status != 401 {
				t.Errorf("%s by %s: got status %d, ran %t", name, who, got.status, got.ran)
			}
		}
	}
	if stranger.Fetches() != 0 {
		t.Errorf("a stranger was asked for keys %d times", stranger.Fetches())
	}
}

// A Verifier that accepts what it was not chosen for gets no token of another issuer past.
func TestIssuersHoldVerifiersToTheIssuer(t *testing.T) {
	l := newLab(t)
	for name, found := range map[string]func() (*popauth.Token, error){
		"another":   func() (*popauth.Token, error) { return popauth.NewToken([]byte(`{"iss":"https://other.example.com"}`)) },
		"none":      func() (*popauth.Token, error) { return popauth.NewToken([]byte(`{}`)) },
		"no token":  func() (*popauth.Token, error) { return nil, nil },
		"hand-made": func() (*popauth.Token, error) { return &popauth.Token{}, nil },
	} {
		careless := verifierFunc(func(context.Context, string) (*popauth.Token, error) { return found() })
		v := newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.issuer.URL: careless}})
		if _, err := v.Verify(t.Context(), l.issuer.Token()); !errors.Is(err, popauth.ErrTokenIssuer) {
			t.Errorf("%s: got %v", name, err)
		}
		send(l.opaqueGuard(v).Authenticate, l.owner.Request("GET", "/", l.issuer.Token())).refused(t, 401, invalidToken)
	}
}

// Issuers come and go while requests are served; what is removed counts no more at the next.
func TestIssuersAtRunTime(t *testing.T) {
	l := newLab(t)
	other := popauthtest.NewIssuer(t)
	other.Now = l.clock.Now
	v := newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.issuer.URL: jwtVerifierOf(t, l.issuer)}})
	guard := l.opaqueGuard(v)
	token := other.Token(l.owner.Bound())
	ask := func() outcome { return send(guard.Confirm, l.owner.Request("GET", "/", token)) }
	for range 2 {
		ask().refused(t, 401, invalidToken)
		if err := v.Add(other.URL, jwtVerifierOf(t, other)); err != nil {
			t.Fatal(err)
		}
		ask().passed(t)
		v.Remove(other.URL)
	}
	ask().refused(t, 401, invalidToken)
	v.Remove("https://unknown.example.com")
	for name, err := range map[string]error{
		"nil":          v.Add(other.URL, nil),
		"empty":        v.Add("", jwtVerifierOf(t, other)),
		"of another":   v.Add(other.URL, jwtVerifierOf(t, l.issuer)),
		"introspected": v.Add(other.URL, l.introspection()),
		"unmade":       v.Add(other.URL, (*introspection.Verifier)(nil)),
		"zero Issuers": new(issuers.Verifier).Add(other.URL, jwtVerifierOf(t, other)),
		"nil Issuers":  (*issuers.Verifier)(nil).Add(other.URL, jwtVerifierOf(t, other)),
	} {
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	new(issuers.Verifier).Remove(other.URL)
	(*issuers.Verifier)(nil).Remove(other.URL)
	ask().refused(t, 401, invalidToken)
	send(l.opaqueGuard(v).Confirm, l.owner.Request("GET", "/", l.bound())).passed(t)
	for _, unmade := range []*issuers.Verifier{nil, {}} {
		send(l.opaqueGuard(unmade).Confirm, l.owner.Request("GET", "/", l.bound())).refused(t, 500, "")
	}

	// Under the race detector: changes while requests are served.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				_ = v.Add(other.URL, jwtVerifierOf(t, other))
				_, _ = v.Verify(t.Context(), token)
				v.Remove(other.URL)
			}
		})
	}
	all.Wait()
}

func TestIssuersOptions(t *testing.T) {
	l := newLab(t)
	for name, tt := range map[string]struct {
		o    issuers.Options
		want []string
	}{
		"nothing":    {issuers.Options{}, []string{"Verifiers"}},
		"empty iss":  {issuers.Options{Verifiers: map[string]popauth.Verifier{"": l.introspection()}}, []string{"Verifiers"}},
		"nil":        {issuers.Options{Verifiers: map[string]popauth.Verifier{"a": nil}}, []string{"Verifiers"}},
		"of another": {issuers.Options{Verifiers: map[string]popauth.Verifier{"a": l.introspection()}}, []string{"Verifiers"}},
		"limits": {issuers.Options{Resolve: (&tenants{}).resolve, Entries: -1, Calls: 1<<20 + 1, Remember: -1, RememberUnknown: -1, Timeout: -1, Wait: -1},
			[]string{"Entries", "Calls", "Remember", "RememberUnknown", "Timeout", "Wait"}},
	} {
		v, err := issuers.New(tt.o)
		if v != nil || err == nil {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
		for _, field := range tt.want {
			if !strings.Contains(fmt.Sprint(err), "issuers: Options."+field+": ") {
				t.Errorf("%s: got %v, want %s named", name, err, field)
			}
		}
	}
	_, err := popauth.NewJWTVerifier(popauth.JWTOptions{Leeway: -1, Algorithms: []string{"none"}, TokenTypes: []string{}})
	for _, field := range []string{"Issuer", "Audience", "Leeway", "Algorithms", "TokenTypes"} {
		if !strings.Contains(fmt.Sprint(err), "popauth: JWTOptions."+field+": ") {
			t.Errorf("got %v, want %s named", err, field)
		}
	}
}
