package introspection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Without credentials nothing is sent but the token, and an answer counts for no more than any other.
func TestNoAuthentication(t *testing.T) {
	l := lab.New(t)
	var header http.Header
	var form url.Values
	answer := ""
	l.Issuer.Handle("/introspect", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		header = r.Header.Clone()
		form, _ = url.ParseQuery(string(body))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	v := l.Introspection(func(o *introspection.Options) {
		o.Authentication, o.Endpoint = introspection.NoAuthentication{}, l.Issuer.URL+"/introspect"
	})
	g, err := popauth.New(popauth.Options{Verifier: v, Now: l.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	const active = `{"active":true,"sub":"alice","token_type":"Bearer","aud":"` + popauthtest.Audience + `"`
	thumbprint := strings.Repeat("A", 43)
	for token, tt := range map[string]struct {
		answer string
		want   bool
	}{
		"good":             {answer: active + `}`, want: true},
		"inactive":         {answer: `{"active":false}`},
		"another-audience": {answer: `{"active":true,"sub":"alice","aud":"other"}`},
		"another-issuer":   {answer: active + `,"iss":"https://other.example"}`},
		"refresh":          {answer: active + `,"token_use":"refresh_token"}`},
		"bound":            {answer: active + `,"cnf":{"x5t#S256":"` + thumbprint + `"}}`},
	} {
		answer = tt.answer
		got := lab.Send(g.Authenticate, (*popauthtest.Client)(nil).Request("GET", "https://api.example.com/", token))
		if got.Ran != tt.want {
			t.Errorf("%s: ran %t (%d), want %t", token, got.Ran, got.Status, tt.want)
		}
		if form.Get("token") != token || header.Get("Authorization") != "" || form.Has("client_id") || form.Has("client_secret") {
			t.Errorf("%s: sent %v with %v, want the token without credentials", token, form, header)
		}
	}
}

// Metadata names a public endpoint: without credentials it would be anybody's, so it has to be named.
func TestNoAuthenticationNeedsEndpoint(t *testing.T) {
	l := lab.New(t)
	o := lab.IntrospectionOptions(l.Issuer)
	for _, none := range []introspection.ClientAuthentication{
		introspection.NoAuthentication{}, &introspection.NoAuthentication{}, struct{ introspection.NoAuthentication }{},
	} {
		o.Authentication, o.Endpoint = none, ""
		if _, err := introspection.New(o); err == nil || !strings.Contains(err.Error(), "Endpoint") {
			t.Errorf("VULNERABLE: %T: got %v, want a problem of Endpoint", none, err)
		}
	}
	o.Authentication = nil
	if _, err := introspection.New(o); err == nil || !strings.Contains(err.Error(), "NoAuthentication") {
		t.Errorf("got %v, want the name of the way out", err)
	}
	o.Authentication, o.Endpoint, o.Signed = introspection.NoAuthentication{}, l.Issuer.URL+"/introspect", true
	if _, err := introspection.New(o); err != nil {
		t.Errorf("signed answers: %v", err)
	}
}

// A pointer is what it points to, for FAPI 2.0 too, and one to nothing is a problem of the options.
func TestAuthenticationByPointer(t *testing.T) {
	l := lab.New(t)
	o := lab.IntrospectionOptions(l.Issuer)
	for _, none := range []introspection.ClientAuthentication{
		(*introspection.NoAuthentication)(nil), (*introspection.ClientSecretBasic)(nil), (*introspection.ClientSecretPost)(nil),
		(*introspection.PrivateKeyJWT)(nil), (*introspection.TLSClientAuth)(nil),
	} {
		o.Authentication = none
		if _, err := introspection.New(o); err == nil || !strings.Contains(err.Error(), "Authentication: nil") {
			t.Errorf("%T: got %v, want a problem of Authentication", none, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o.Authentication = &introspection.PrivateKeyJWT{ID: "api", Method: jwt.SigningMethodES256, Key: key}
	v, err := introspection.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.FAPI2(); err != nil {
		t.Errorf("FAPI2: got %v, want nil, as without the pointer", err)
	}
}
