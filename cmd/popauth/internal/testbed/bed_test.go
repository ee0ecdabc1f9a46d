package testbed

import (
	"crypto/ecdsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func newBed(t *testing.T) *Bed {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// assertion is a JWT of the client's, with claims changed.
func (b *Bed) newAssertion(t *testing.T, change func(jwt.MapClaims)) string {
	t.Helper()
	return b.newAssertionBy(t, b.assertion, change)
}

func (b *Bed) newAssertionBy(t *testing.T, key *ecdsa.PrivateKey, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": ClientID, "sub": ClientID, "aud": b.id.URL, "jti": "1", "exp": time.Now().Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The token endpoint takes from a client what it is registered with, and nothing else: who tests a client against it learns what a
// server refuses.
func TestTokenEndpoint(t *testing.T) {
	b := newBed(t)
	assertion := func(change func(jwt.MapClaims)) url.Values {
		return url.Values{"client_assertion": {b.newAssertion(t, change)},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	}
	secret := url.Values{"client_id": {ClientID}, "client_secret": {b.secret}}
	with := func(v url.Values, more ...string) url.Values {
		all := url.Values{}
		for name, values := range v {
			all[name] = values
		}
		for i := 0; i < len(more); i += 2 {
			all.Set(more[i], more[i+1])
		}
		return all
	}
	again := assertion(nil)
	forged := b.newAssertionBy(t, b.key, func(c jwt.MapClaims) { c["jti"] = "9" })
	for _, tt := range []struct {
		name string
		form url.Values
		want string
	}{
		{"secret", secret, ""},
		{"another secret", with(secret, "client_secret", b.secret+"x"), "invalid_client"},
		{"no secret", url.Values{"client_id": {ClientID}}, "invalid_client"},
		{"another client", with(secret, "client_id", "x"), "invalid_client"},
		{"assertion", again, ""},
		{"the same assertion", again, "invalid_client"},
		{"both", with(assertion(func(c jwt.MapClaims) { c["jti"] = "2" }), "client_secret", b.secret), "invalid_client"},
		{"for another server", assertion(func(c jwt.MapClaims) { c["jti"], c["aud"] = "3", "https://other.example" }), "invalid_client"},
		{"expired", assertion(func(c jwt.MapClaims) { c["jti"], c["exp"] = "4", 1 }), "invalid_client"},
		{"without exp", assertion(func(c jwt.MapClaims) { c["jti"] = "5"; delete(c, "exp") }), "invalid_client"},
		{"without jti", assertion(func(c jwt.MapClaims) { delete(c, "jti") }), "invalid_client"},
		{"of another", assertion(func(c jwt.MapClaims) { c["jti"], c["iss"] = "6", "x" }), "invalid_client"},
		{"about another", assertion(func(c jwt.MapClaims) { c["jti"], c["sub"] = "8", "x" }), "invalid_client"},
		{"by another key", url.Values{"client_assertion": {forged}, "client_assertion_type": again["client_assertion_type"]},
			"invalid_client"},
		{"of another type", with(assertion(func(c jwt.MapClaims) { c["jti"] = "7" }), "client_assertion_type", "x"), "invalid_client"},
		{"another grant", with(secret, "grant_type", "password"), "unsupported_grant_type"},
		{"another scope", with(secret, "scope", "admin"), "invalid_scope"},
		{"another API", with(secret, "resource", "https://other.example"), "invalid_target"},
	} {
		if !tt.form.Has("grant_type") {
			tt.form = with(tt.form, "grant_type", "client_credentials")
		}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(tt.form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		b.auth.Handler(http.HandlerFunc(b.token)).ServeHTTP(w, r)
		if got := w.Body.String(); tt.want == "" && (w.Code != http.StatusOK || !strings.Contains(got, "access_token")) ||
			tt.want != "" && (w.Code == http.StatusOK || !strings.Contains(got, `"`+tt.want+`"`)) {
			t.Errorf("%s: got %d %s, want %q", tt.name, w.Code, got, tt.want)
		}
	}
}

// Each kind of token does what it says of itself, and nobody can take one for another's.
func TestTokens(t *testing.T) {
	b := newBed(t)
	seen := map[string]bool{}
	for name, k := range b.kinds() {
		token := k.token()
		if seen[token] || strings.Count(token, ".") != 2 || k.says == "" {
			t.Errorf("%s: got %q, %q", name, token, k.says)
		}
		seen[token] = true
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/tokens/x", nil)
	r.SetPathValue("kind", "x")
	if b.serveToken(w, r); w.Code != http.StatusNotFound {
		t.Errorf("no such kind: got %d", w.Code)
	}
}

// A bed that can't be made leaves nothing behind.
func TestNewFails(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir+"/none")
	if b, err := New(Options{}); !errors.Is(err, os.ErrNotExist) || b != nil {
		t.Errorf("got %v, %v, want an error", b, err)
	}
}

// A proof is for the API by the names that it has, whatever Host says.
func TestCalled(t *testing.T) {
	b := newBed(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(b.api.URL, "https://"), ":")
	for host, want := range map[string]bool{
		"localhost:" + port: true, "127.0.0.1:" + port: true, "localhost": false, "evil.example": false, "evil.example:" + port: false,
		"127.0.0.1:1": false, "localhost.:" + port: false,
	} {
		r := httptest.NewRequest(http.MethodGet, "https://"+host+"/orders", http.NoBody)
		if got := b.called(r) != nil; got != want {
			t.Errorf("%s: got %t, want %t", host, got, want)
		}
	}
}
