package popauth_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A signed answer doesn't name the token that was asked about: what can be compared is.
func TestSignedAnswerAboutAnotherToken(t *testing.T) {
	l := newLab(t, "ES256")
	jwt := func(claims ...popauthtest.Claims) string { return l.bound(claims...) }
	asked := jwt(cnf{"jti": "1"})
	about := func(token string, change cnf) cnf { return merged(claimsOf(t, token), cnf{"active": true}, change) }
	for _, tt := range []struct {
		name, token string
		inner       cnf
		reason      popauth.Reason // "" if it counts
	}{
		{name: "its own", token: asked, inner: about(asked, nil)},
		{name: "with less in it", token: asked, inner: cnf{"active": true, "aud": popauthtest.Audience, "cnf": l.owner.Bound()["cnf"]}},
		{name: "another jti", token: asked, inner: about(asked, cnf{"jti": "2"}), reason: popauth.ErrUnavailable},
		{name: "another sub", token: asked, inner: about(asked, cnf{"sub": "admin"}), reason: popauth.ErrUnavailable},
		{name: "another client", token: asked, inner: about(asked, cnf{"client_id": "admin"}), reason: popauth.ErrUnavailable},
		{name: "another exp", token: asked, inner: about(asked, cnf{"exp": l.clock.Now().Unix() + 7}), reason: popauth.ErrUnavailable},
		{name: "another iat", token: asked, inner: about(asked, cnf{"iat": l.clock.Now().Unix() - 7}), reason: popauth.ErrUnavailable},
		{name: "a token of another issuer", token: jwt(cnf{"iss": "https://other.example"}), inner: cnf{"active": true, "aud": popauthtest.Audience, "cnf": l.owner.Bound()["cnf"]}, reason: popauth.ErrUnavailable},
		{name: "another cnf", token: asked, inner: about(asked, l.thief.Bound()), reason: popauth.ErrUnavailable},
		{name: "no cnf", token: asked, inner: about(asked, cnf{"cnf": popauthtest.Omit}), reason: popauth.ErrUnavailable},
		{name: "a made-up JWT", token: "e30.e30.AA", inner: about(asked, nil)},
		{name: "what only looks like a JWT", token: "e30.AA.AA", inner: about(asked, nil), reason: popauth.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.answering(200, l.issuer.TokenWith(cnf{"typ": "token-introspection+jwt"}, cnf{"aud": "api", "exp": popauthtest.Omit, "token_introspection": omitting(tt.inner)}))
			v := l.introspection(l.signedAnswers)
			got, err := v.Verify(t.Context(), tt.token)
			if (got == nil) == (tt.reason == "") || tt.reason != "" && !reasonIs(err, tt.reason) {
				t.Errorf("got %v, %v, want %q", got, err, tt.reason)
			}
		})
	}
}

// Without a signature an answer stands for whatever the issuer says of the token: it may name the subject in another way.
func TestPlainAnswerBesideAJWT(t *testing.T) {
	l := newLab(t)
	l.answering(200, `{"active":true,"sub":"someone","aud":"`+popauthtest.Audience+`"}`)
	for _, sub := range []string{"someone", "pairwise-of-someone"} {
		if token, err := l.introspection().Verify(t.Context(), l.issuer.Token(cnf{"sub": sub})); err != nil || token.Subject() != "someone" {
			t.Errorf("%s: got %v, %v, want the answer's subject", sub, token, err)
		}
	}
}

// One answer is about one token, however it is sent again.
func TestSignedAnswerTwice(t *testing.T) {
	l := newLab(t, "ES256")
	for name, resent := range map[string]func(string) string{
		"as it was":                 func(answer string) string { return answer },
		"white space around it":     func(answer string) string { return "\n " + answer + "\r\n" },
		"the key's other signature": func(answer string) string { return otherSignature(t, answer) },
	} {
		answer := l.issuer.TokenWith(cnf{"typ": "token-introspection+jwt"}, cnf{"aud": "api", "exp": popauthtest.Omit,
			"token_introspection": cnf{"active": true, "aud": popauthtest.Audience, "sub": "admin"}})
		v := l.introspection(l.signedAnswers)
		l.answering(200, answer)
		for range 2 {
			if got, err := v.Verify(t.Context(), "opaque-1"); got == nil {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		l.answering(200, resent(answer))
		if got, err := v.Verify(t.Context(), "opaque-2"); got != nil || !reasonIs(err, popauth.ErrUnavailable) {
			t.Errorf("%s: got %v, %v, want ErrUnavailable", name, got, err)
		}
		l.clock.Advance(11e9) // opaque-1 is asked about again, and the server may say the same
		if got, err := v.Verify(t.Context(), "opaque-1"); got == nil {
			t.Errorf("%s: the same question again: got %v", name, err)
		}
	}
}

// A JWT that is bound stays bound, whatever a plain answer leaves out.
func TestAnswerWithoutTheTokensBinding(t *testing.T) {
	l := newLab(t)
	token := l.bound()
	for _, tt := range []struct {
		name  string
		inner cnf
		good  bool
	}{
		{"the same cnf", l.owner.Bound(), true},
		{"none", cnf{}, false},
		{"another", l.thief.Bound(), false},
		{"one more", cnf{"cnf": cnf{"x5t#S256": l.owner.Thumbprint(), "jkt": l.owner.Thumbprint()}}, false},
	} {
		answer, err := json.Marshal(merged(cnf{"active": true, "aud": popauthtest.Audience}, tt.inner))
		if err != nil {
			t.Fatal(err)
		}
		l.answering(200, string(answer))
		g := l.opaqueGuard(l.introspection())
		for who, c := range map[string]*popauthtest.Client{"owner": l.owner, "thief": l.thief, "nobody": nil} {
			o := send(g.Authenticate, c.Request("GET", "/", token))
			if want := tt.good && who == "owner"; o.ran != want {
				t.Errorf("%s, %s: ran %t, want %t", tt.name, who, o.ran, want)
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

func claimsOf(t *testing.T, token string) cnf {
	t.Helper()
	var claims cnf
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func omitting(claims cnf) cnf {
	for k, v := range claims {
		if v == popauthtest.Omit {
			delete(claims, k)
		}
	}
	return claims
}
