package introspection_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A signed answer doesn't name the token that was asked about: what can be compared is.
func TestSignedAnswerAboutAnotherToken(t *testing.T) {
	l := lab.New(t, "ES256")
	jwt := func(claims ...popauthtest.Claims) string { return l.Bound(claims...) }
	asked := jwt(lab.Claims{"jti": "1"})
	about := func(token string, change lab.Claims) lab.Claims {
		return merged(claimsOf(t, token), lab.Claims{"active": true}, change)
	}
	for _, tt := range []struct {
		name, token string
		inner       lab.Claims
		reason      popauth.Reason // "" if it counts
	}{
		{name: "its own", token: asked, inner: about(asked, nil)},
		{name: "with less in it", token: asked, inner: lab.Claims{"active": true, "aud": popauthtest.Audience,
			"cnf": l.Owner.Bound()["cnf"]}},
		{name: "another jti", token: asked, inner: about(asked, lab.Claims{"jti": "2"}), reason: popauth.ErrUnavailable},
		{name: "another sub", token: asked, inner: about(asked, lab.Claims{"sub": "admin"}), reason: popauth.ErrUnavailable},
		{name: "another client", token: asked, inner: about(asked, lab.Claims{"client_id": "admin"}), reason: popauth.ErrUnavailable},
		{name: "another exp", token: asked, inner: about(asked, lab.Claims{"exp": l.Clock.Now().Unix() + 7}),
			reason: popauth.ErrUnavailable},
		{name: "another iat", token: asked, inner: about(asked, lab.Claims{"iat": l.Clock.Now().Unix() - 7}),
			reason: popauth.ErrUnavailable},
		{name: "a token of another issuer", token: jwt(lab.Claims{"iss": "https://other.example"}),
			inner: lab.Claims{"active": true, "aud": popauthtest.Audience, "cnf": l.Owner.Bound()["cnf"]}, reason: popauth.ErrUnavailable},
		{name: "another cnf", token: asked, inner: about(asked, l.Thief.Bound()), reason: popauth.ErrUnavailable},
		{name: "no cnf", token: asked, inner: about(asked, lab.Claims{"cnf": popauthtest.Omit}), reason: popauth.ErrUnavailable},
		{name: "a made-up JWT", token: "e30.e30.AA", inner: about(asked, nil)},
		{name: "what only looks like a JWT", token: "e30.AA.AA", inner: about(asked, nil), reason: popauth.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.Answering(200, l.Issuer.TokenWith(lab.Claims{"typ": "token-introspection+jwt"},
				lab.Claims{"aud": "api", "exp": popauthtest.Omit, "token_introspection": omitting(tt.inner)}))
			v := l.Introspection(l.SignedAnswers)
			got, err := v.Verify(t.Context(), tt.token)
			if (got == nil) == (tt.reason == "") || tt.reason != "" && !lab.ReasonIs(err, tt.reason) {
				t.Errorf("got %v, %v, want %q", got, err, tt.reason)
			}
		})
	}
}

// Without a signature an answer stands for whatever the issuer says of the token: it may name the subject in another way.
func TestPlainAnswerBesideAJWT(t *testing.T) {
	l := lab.New(t)
	l.Answering(200, `{"active":true,"sub":"someone","aud":"`+popauthtest.Audience+`"}`)
	for _, sub := range []string{"someone", "pairwise-of-someone"} {
		if token, err := l.Introspection().Verify(t.Context(), l.Issuer.Token(lab.Claims{"sub": sub})); err != nil ||
			token.Subject() != "someone" {
			t.Errorf("%s: got %v, %v, want the answer's subject", sub, token, err)
		}
	}
}

// One answer is about one token, however it is sent again.
func TestSignedAnswerTwice(t *testing.T) {
	l := lab.New(t, "ES256")
	for name, resent := range map[string]func(string) string{
		"as it was":                 func(answer string) string { return answer },
		"white space around it":     func(answer string) string { return "\n " + answer + "\r\n" },
		"the key's other signature": func(answer string) string { return otherSignature(t, answer) },
	} {
		answer := l.Issuer.TokenWith(lab.Claims{"typ": "token-introspection+jwt"}, lab.Claims{"aud": "api", "exp": popauthtest.Omit,
			"token_introspection": lab.Claims{"active": true, "aud": popauthtest.Audience, "sub": "admin"}})
		v := l.Introspection(l.SignedAnswers)
		l.Answering(200, answer)
		for range 2 {
			if got, err := v.Verify(t.Context(), "opaque-1"); got == nil {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		l.Answering(200, resent(answer))
		if got, err := v.Verify(t.Context(), "opaque-2"); got != nil || !lab.ReasonIs(err, popauth.ErrUnavailable) {
			t.Errorf("%s: got %v, %v, want ErrUnavailable", name, got, err)
		}
		l.Clock.Advance(11e9) // opaque-1 is asked about again, and the server may say the same
		if got, err := v.Verify(t.Context(), "opaque-1"); got == nil {
			t.Errorf("%s: the same question again: got %v", name, err)
		}
	}
}

// A JWT that is bound stays bound, whatever a plain answer leaves out.
func TestAnswerWithoutTheTokensBinding(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	for _, tt := range []struct {
		name  string
		inner lab.Claims
		good  bool
	}{
		{"the same cnf", l.Owner.Bound(), true},
		{"none", lab.Claims{}, false},
		{"another", l.Thief.Bound(), false},
		{"one more", lab.Claims{"cnf": lab.Claims{"x5t#S256": l.Owner.Thumbprint(), "jkt": l.Owner.Thumbprint()}}, false},
	} {
		answer, err := json.Marshal(merged(lab.Claims{"active": true, "aud": popauthtest.Audience}, tt.inner))
		if err != nil {
			t.Fatal(err)
		}
		l.Answering(200, string(answer))
		g := l.OpaqueGuard(l.Introspection())
		for who, c := range map[string]*popauthtest.Client{"owner": l.Owner, "thief": l.Thief, "nobody": nil} {
			o := lab.Send(g.Authenticate, c.Request("GET", "/", token))
			if want := tt.good && who == "owner"; o.Ran != want {
				t.Errorf("%s, %s: ran %t, want %t", tt.name, who, o.Ran, want)
			}
		}
	}
}

// otherSignature is the second signature that an ECDSA key has for one text: n minus s (SEC 1, section 4.1.4).
func otherSignature(t *testing.T, jws string) string {
	t.Helper()
	i := strings.LastIndexByte(jws, '.')
	b, err := base64.RawURLEncoding.DecodeString(jws[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	n, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	n.Sub(n, new(big.Int).SetBytes(b[32:])).FillBytes(b[32:])
	return jws[:i+1] + base64.RawURLEncoding.EncodeToString(b)
}

func claimsOf(t *testing.T, token string) lab.Claims {
	t.Helper()
	var claims lab.Claims
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func omitting(claims lab.Claims) lab.Claims {
	for k, v := range claims {
		if v == popauthtest.Omit {
			delete(claims, k)
		}
	}
	return claims
}
