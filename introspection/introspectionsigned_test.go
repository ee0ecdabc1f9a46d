package introspection_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// TestSignedIntrospection is RFC 9701: what a signed answer must be.
func TestSignedIntrospection(t *testing.T) {
	l := lab.New(t)
	signed := func(o *introspection.Options) {
		o.Signed = true
		o.Keys, _ = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: l.Issuer.Client(), Now: l.Clock.Now})
	}
	other := popauthtest.NewIssuer(t)
	type claims = popauthtest.Claims
	inner := claims{"active": true, "aud": popauthtest.Audience}
	now := l.Clock.Now().Unix()
	for name, tt := range map[string]struct {
		header, payload claims
		by              *popauthtest.Issuer // nil: the issuer
		reason          popauth.Reason
	}{
		"for the client": {nil, nil, nil, ""},
		"for the API":    {nil, claims{"aud": popauthtest.Audience}, nil, ""},
		"typ in full":    {claims{"typ": "application/token-introspection+jwt"}, nil, nil, ""},
		"bound": {nil, claims{"token_introspection": claims{"active": true, "aud": popauthtest.Audience,
			"cnf": claims{"jkt": "x"}}}, nil, ""},
		"bound outside":            {nil, claims{"cnf": claims{"jkt": "x"}}, nil, popauth.ErrUnavailable},
		"not active":               {nil, claims{"token_introspection": claims{"active": false}}, nil, popauth.ErrTokenInvalid},
		"token for another":        {nil, claims{"token_introspection": claims{"active": true, "aud": "x"}}, nil, popauth.ErrTokenAudience},
		"answer for another":       {nil, claims{"aud": "other-api"}, nil, popauth.ErrUnavailable},
		"answer for nobody":        {nil, claims{"aud": popauthtest.Omit}, nil, popauth.ErrUnavailable},
		"of another issuer":        {nil, claims{"iss": other.URL}, nil, popauth.ErrUnavailable},
		"signed by another":        {nil, nil, other, popauth.ErrUnavailable},
		"signed by nobody":         {claims{"alg": "none"}, nil, nil, popauth.ErrUnavailable},
		"signed with a public key": {claims{"alg": "HS256"}, nil, nil, popauth.ErrUnavailable},
		"an access token":          {claims{"typ": "at+jwt"}, nil, nil, popauth.ErrUnavailable},
		"a JWT":                    {claims{"typ": "JWT"}, nil, nil, popauth.ErrUnavailable},
		"without typ":              {claims{"typ": popauthtest.Omit}, nil, nil, popauth.ErrUnavailable},
		"with crit":                {claims{"crit": []string{"x"}}, nil, nil, popauth.ErrUnavailable},
		"without iat":              {nil, claims{"iat": popauthtest.Omit}, nil, popauth.ErrUnavailable},
		"of an earlier call":       {nil, claims{"iat": now - 31}, nil, popauth.ErrUnavailable},
		"a little earlier":         {nil, claims{"iat": now - 30}, nil, ""},
		"from the future":          {nil, claims{"iat": now + 31}, nil, popauth.ErrUnavailable},
		"expired":                  {nil, claims{"exp": now - 31}, nil, popauth.ErrUnavailable},
		"without an answer":        {nil, claims{"token_introspection": popauthtest.Omit, "active": true}, nil, popauth.ErrUnavailable},
		"answer a string":          {nil, claims{"token_introspection": `{"active":true}`}, nil, popauth.ErrUnavailable},
		"answer null":              {nil, claims{"token_introspection": nil}, nil, popauth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			by := l.Issuer
			if tt.by != nil {
				by = tt.by
				by.Now = l.Clock.Now
			}
			answer := by.TokenWith(merged(claims{"typ": "token-introspection+jwt"}, tt.header),
				merged(claims{"iss": l.Issuer.URL, "aud": "api", "exp": popauthtest.Omit, "token_introspection": inner}, tt.payload))
			l.Answering(200, answer)
			v := l.Introspection(signed)
			token, err := v.Verify(t.Context(), "opaque")
			if (token == nil) == (tt.reason == "") || tt.reason != "" && !lab.ReasonIs(err, tt.reason) {
				t.Errorf("got %v, %v, want %q", token, err, tt.reason)
			}
			if name == "bound" {
				lab.Send(l.OpaqueGuard(v).Authenticate, l.Owner.Request("GET", "/", "opaque")).Refused(t, 401, lab.InvalidToken)
			}
		})
	}
	t.Run("plain", func(t *testing.T) { // a downgrade
		l.Answering(200, lab.Active)
		if token, err := l.Introspection(signed).Verify(t.Context(), "opaque"); token != nil || !lab.ReasonIs(err, popauth.ErrUnavailable) {
			t.Errorf("got %v, %v", token, err)
		}
	})
	t.Run("asked for", func(t *testing.T) {
		l.Issuer.Handle("/introspect", nil)
		v := l.Introspection(func(o *introspection.Options) { o.Signed = true }) // keys by discovery
		token := l.Issuer.Opaque(l.Owner.Bound())
		lab.Send(l.OpaqueGuard(v).Confirm, l.Owner.Request("GET", "/", token)).Passed(t)
		lab.Send(l.OpaqueGuard(v).Confirm, l.Thief.Request("GET", "/", token)).Refused(t, 401, lab.InvalidToken)
		lab.Send(l.OpaqueGuard(v).Confirm, l.Owner.Request("GET", "/", "made-up")).Refused(t, 401, lab.InvalidToken)
	})
}

func merged(all ...popauthtest.Claims) popauthtest.Claims {
	m := popauthtest.Claims{}
	for _, c := range all {
		for k, v := range c {
			m[k] = v
		}
	}
	return m
}

// A signed answer is no access token, at an API that would take any type even.
func TestSignedAnswerIsNoToken(t *testing.T) {
	l := lab.New(t)
	answer := l.Issuer.TokenWith(popauthtest.Claims{"typ": "token-introspection+jwt"},
		popauthtest.Claims{"token_introspection": popauthtest.Claims{"active": true}})
	lab.Send(l.Guard().Authenticate, l.Owner.Request("GET", "/", answer)).Refused(t, 401, lab.InvalidToken)
}

// FuzzIntrospectionAnswer: only the boolean true makes a token, for this API and in force, and a cnf in an answer never
// gets lost.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, s := range []string{
		lab.Active, `{"active":true,"aud":"https://api.example.com","cnf":{"jkt":"x"},"token_type":"DPoP"}`,
		`{"active":"true"}`, `{"active":false}`, `{"Active":true}`, `{"active":true,"active":false}`, `null`, `{}`,
		`{"active":true,"aud":["https://api.example.com"],"exp":1,"cnf":{"x5t#S256":"x"},"typ":"ID","token_use":"x"}`,
	} {
		f.Add([]byte(s))
	}
	var answer []byte
	v, err := introspection.New(introspection.Options{
		Issuer: "id", Endpoint: "https://id.example.com/", Audience: []string{popauthtest.Audience}, Remember: -1,
		Authentication: introspection.ClientSecretBasic{ID: "a", Secret: "s"}, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Client: &http.Client{Transport: lab.RoundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: lab.Body(string(answer))}, nil
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: v})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer = data
		token, err := v.Verify(t.Context(), "opaque")
		if (token == nil) != (err != nil) {
			t.Fatalf("got %v, %v", token, err)
		}
		if err != nil {
			if e := (*popauth.Error)(nil); !errors.As(err, &e) && !errors.As(err, new(popauth.Reason)) {
				t.Fatalf("an error without a Reason: %v", err)
			}
			return
		}
		var read map[string]any
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if read["active"] != true {
			t.Fatalf("active: %v", read["active"])
		}
		if _, bound := read["cnf"]; bound {
			if got := lab.Send(guard.Authenticate, (*popauthtest.Client)(nil).Request("GET", "/", "opaque")); got.Ran {
				t.Fatal("a bound answer came out unbound")
			}
		}
	})
}
