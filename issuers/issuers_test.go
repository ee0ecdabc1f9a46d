package issuers_test

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
	"github.com/seed-171ab058/popauth/internal/lab"
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
	l := lab.New(t, "ES256")
	other, stranger := popauthtest.NewIssuer(t, "ES256"), popauthtest.NewIssuer(t, "ES256")
	other.Now, stranger.Now = l.Clock.Now, l.Clock.Now
	kid := kidOf(t, l.Issuer.JWKS())
	renamed := bytes.ReplaceAll(other.JWKS(), []byte(kidOf(t, other.JWKS())), []byte(kid))
	other.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(renamed) }))
	guard := l.OpaqueGuard(lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{
		l.Issuer.URL: lab.VerifierOf(t, l.Issuer), other.URL: lab.VerifierOf(t, other),
	}}))
	named := popauthtest.Claims{"kid": kid}
	for name, tt := range map[string]struct {
		token string
		pass  bool
	}{
		"one":                       {l.Issuer.TokenWith(named, l.Owner.Bound()), true},
		"other":                     {other.TokenWith(named, l.Owner.Bound()), true},
		"one's name, other's key":   {other.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": l.Issuer.URL}), false},
		"other's name, one's key":   {l.Issuer.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": other.URL}), false},
		"stranger":                  {stranger.TokenWith(named, l.Owner.Bound()), false},
		"stranger under one's name": {stranger.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": l.Issuer.URL}), false},
		"one with a slash":          {l.Issuer.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": l.Issuer.URL + "/"}), false},
		"without iss":               {l.Issuer.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": popauthtest.Omit}), false},
		"empty iss":                 {l.Issuer.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"iss": ""}), false},
		"two issuers": {l.Issuer.TokenWith(named, l.Owner.Bound(),
			popauthtest.Claims{"iss": []string{l.Issuer.URL, other.URL}}), false},
		"expired":         {other.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"exp": 1}), false},
		"unsigned":        {other.TokenWith(popauthtest.Claims{"alg": "none"}, l.Owner.Bound()), false},
		"for another API": {other.TokenWith(named, l.Owner.Bound(), popauthtest.Claims{"aud": "x"}), false},
		"one's name twice": {l.Issuer.Sign([]byte(`{"alg":"ES256","typ":"at+jwt"}`),
			[]byte(`{"iss":"`+other.URL+`","iss":"`+l.Issuer.URL+`"}`), ""), false},
		"other's name in capitals": {l.Issuer.Sign([]byte(`{"alg":"ES256","typ":"at+jwt"}`),
			[]byte(`{"iss":"`+other.URL+`","ISS":"`+l.Issuer.URL+`"}`), ""), false},
		"not a JWT":                  {"opaque", false},
		"longer than tokens are":     {strings.Repeat("e", 16<<10) + ".e30.x", false},
		"payload that is no payload": {"e30.W10.AAAA", false},
	} {
		for who, caller := range map[string]*popauthtest.Client{"owner": l.Owner, "thief": l.Thief, "nobody": nil} {
			got := lab.Send(guard.Confirm, caller.Request("GET", "/", tt.token))
			if pass := tt.pass && who == "owner"; got.Ran != pass || !pass && got.Status != 401 {
				t.Errorf("%s by %s: got status %d, ran %t", name, who, got.Status, got.Ran)
			}
		}
	}
	if stranger.Fetches() != 0 {
		t.Errorf("a stranger was asked for keys %d times", stranger.Fetches())
	}
}

// A Verifier that accepts what it was not chosen for gets no token of another issuer past.
func TestIssuersHoldVerifiersToTheIssuer(t *testing.T) {
	l := lab.New(t)
	for name, found := range map[string]func() (*popauth.Token, error){
		"another":   func() (*popauth.Token, error) { return popauth.NewToken([]byte(`{"iss":"https://other.example.com"}`)) },
		"none":      func() (*popauth.Token, error) { return popauth.NewToken([]byte(`{}`)) },
		"no token":  func() (*popauth.Token, error) { return nil, nil },
		"hand-made": func() (*popauth.Token, error) { return &popauth.Token{}, nil },
	} {
		careless := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) { return found() })
		v := lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.Issuer.URL: careless}})
		if _, err := v.Verify(t.Context(), l.Issuer.Token()); !errors.Is(err, popauth.ErrTokenIssuer) {
			t.Errorf("%s: got %v", name, err)
		}
		lab.Send(l.OpaqueGuard(v).Authenticate, l.Owner.Request("GET", "/", l.Issuer.Token())).Refused(t, 401, lab.InvalidToken)
	}
}

// Issuers come and go while requests are served; what is removed counts no more at the next.
func TestIssuersAtRunTime(t *testing.T) {
	l := lab.New(t)
	other := popauthtest.NewIssuer(t)
	other.Now = l.Clock.Now
	v := lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{l.Issuer.URL: lab.VerifierOf(t, l.Issuer)}})
	guard := l.OpaqueGuard(v)
	token := other.Token(l.Owner.Bound())
	ask := func() lab.Outcome { return lab.Send(guard.Confirm, l.Owner.Request("GET", "/", token)) }
	for range 2 {
		ask().Refused(t, 401, lab.InvalidToken)
		if err := v.Add(other.URL, lab.VerifierOf(t, other)); err != nil {
			t.Fatal(err)
		}
		ask().Passed(t)
		v.Remove(other.URL)
	}
	ask().Refused(t, 401, lab.InvalidToken)
	v.Remove("https://unknown.example.com")
	for name, err := range map[string]error{
		"nil":          v.Add(other.URL, nil),
		"empty":        v.Add("", lab.VerifierOf(t, other)),
		"of another":   v.Add(other.URL, lab.VerifierOf(t, l.Issuer)),
		"introspected": v.Add(other.URL, l.Introspection()),
		"unmade":       v.Add(other.URL, (*introspection.Verifier)(nil)),
		"zero Issuers": new(issuers.Verifier).Add(other.URL, lab.VerifierOf(t, other)),
		"nil Issuers":  (*issuers.Verifier)(nil).Add(other.URL, lab.VerifierOf(t, other)),
	} {
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	new(issuers.Verifier).Remove(other.URL)
	(*issuers.Verifier)(nil).Remove(other.URL)
	ask().Refused(t, 401, lab.InvalidToken)
	lab.Send(l.OpaqueGuard(v).Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	for _, unmade := range []*issuers.Verifier{nil, {}} {
		lab.Send(l.OpaqueGuard(unmade).Confirm, l.Owner.Request("GET", "/", l.Bound())).Refused(t, 500, "")
	}

	// Under the race detector: changes while requests are served.
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				_ = v.Add(other.URL, lab.VerifierOf(t, other))
				_, _ = v.Verify(t.Context(), token)
				v.Remove(other.URL)
			}
		})
	}
	all.Wait()
}

func TestIssuersOptions(t *testing.T) {
	l := lab.New(t)
	for name, tt := range map[string]struct {
		o    issuers.Options
		want []string
	}{
		"nothing":    {issuers.Options{}, []string{"Verifiers"}},
		"empty iss":  {issuers.Options{Verifiers: map[string]popauth.Verifier{"": l.Introspection()}}, []string{"Verifiers"}},
		"nil":        {issuers.Options{Verifiers: map[string]popauth.Verifier{"a": nil}}, []string{"Verifiers"}},
		"of another": {issuers.Options{Verifiers: map[string]popauth.Verifier{"a": l.Introspection()}}, []string{"Verifiers"}},
		"limits": {issuers.Options{Resolve: (&tenants{}).resolve, Entries: -1, Calls: 1<<20 + 1, Remember: -1, RememberUnknown: -1,
			Timeout: -1, Wait: -1},
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
