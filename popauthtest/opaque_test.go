package popauthtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// introspect asks the endpoint as another client would, and returns its answer.
func introspect(t *testing.T, issuer *popauthtest.Issuer, token, accept string) (string, string) {
	t.Helper()
	form := url.Values{"token": {token}, "client_id": {"other-api"}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer.URL+"/introspect", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	answer, err := issuer.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var b strings.Builder
	if err := answer.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return answer.Header.Get("Content-Type"), body
}

func TestOpaque(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	token := issuer.Opaque(owner.Bound(), popauthtest.Claims{"sub": popauthtest.Omit, "scope": "a"})
	kind, body := introspect(t, issuer, token, "application/json")
	equal(t, "Content-Type", kind, "application/json")
	var answer map[string]any
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	equal(t, "active", answer["active"], any(true))
	equal(t, "iss", answer["iss"], any(issuer.URL))
	equal(t, "scope", answer["scope"], any("a"))
	equal(t, "sub", answer["sub"], nil)
	if cnf, _ := answer["cnf"].(map[string]any); cnf["x5t#S256"] != owner.Thumbprint() {
		t.Errorf("cnf: got %v", answer["cnf"])
	}
	kind, body = introspect(t, issuer, token, "application/token-introspection+jwt")
	equal(t, "Content-Type", kind, "application/token-introspection+jwt")
	var claims jwt.MapClaims
	signed, err := jwt.ParseWithClaims(body, &claims, keysOf(t, issuer).Keyfunc, jwt.WithAudience("other-api"), jwt.WithIssuer(issuer.URL))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "typ", signed.Header["typ"], any("token-introspection+jwt"))
	if inner, _ := claims["token_introspection"].(map[string]any); inner["active"] != true || claims["exp"] != nil {
		t.Errorf("signed answer: got %v", claims)
	}

	issuer.Revoke(token)
	for _, token := range []string{token, "made-up", ""} {
		_, body = introspect(t, issuer, token, "application/json")
		equal(t, "not active", strings.TrimSpace(body), `{"active":false}`)
	}
	equal(t, "introspections", issuer.Introspections(), 5)
}

func TestIntrospectionOfIssuer(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	for name, tt := range map[string]struct {
		audience []string
		claims   popauthtest.Claims
		want     bool
	}{
		"default":     {[]string{popauthtest.Audience}, nil, true},
		"another API": {[]string{popauthtest.Audience}, popauthtest.Claims{"aud": "x"}, false},
		"its own":     {[]string{"x"}, popauthtest.Claims{"aud": "x"}, true},
	} {
		v, err := introspection.New(introspection.Options{
			Issuer: issuer.URL, Audience: tt.audience, Client: issuer.Client(), Now: issuer.Now,
			Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), issuer.Opaque(tt.claims))
		equal(t, name, err == nil, tt.want)
	}
}
