package popauthtest_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A handler's unit test needs no issuer and no token: it says who calls, with whatever claims.
func ExampleClient_Principal() {
	type claims struct {
		Tenant int `json:"tenant"`
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		own, err := popauth.Claims[claims](caller)
		_, _ = fmt.Fprintln(w, caller.ClientID, own.Tenant, err)
	})
	var client *popauthtest.Client // without a certificate
	r := httptest.NewRequest(http.MethodGet, "/orders", http.NoBody)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r.WithContext(popauth.NewContext(r.Context(), client.Principal(popauthtest.Claims{"tenant": 7}))))
	fmt.Print(w.Body)
	// Output: client-1 7 <nil>
}

func TestPrincipal(t *testing.T) {
	owner := popauthtest.SelfSigned(t, "owner")
	p := owner.Principal(popauthtest.Claims{"sub": "alice", "scope": "a b", "roles": []string{"admin"}})
	if p.Subject != "alice" || len(p.Scopes) != 2 || p.Certificate == nil || p.Certificate.Thumbprint != owner.Thumbprint() ||
		len(p.Bindings) != 1 || time.Until(p.ExpiresAt) < time.Minute {
		t.Errorf("got %+v", p)
	}
	more, err := popauth.Claims[struct {
		Roles []string `json:"roles"`
	}](p)
	if err != nil || len(more.Roles) != 1 || more.Roles[0] != "admin" {
		t.Errorf("got %v, %v", more, err)
	}
	cnf := popauthtest.Claims{"jkt": "x", "of-mine": popauthtest.Claims{"a": 1}}
	key := (*popauthtest.Client)(nil).Principal(popauthtest.Claims{"cnf": cnf})
	if len(key.Bindings) != 2 || key.Certificate != nil {
		t.Errorf("got %+v", key)
	}
	defer func() {
		if recover() == nil {
			t.Error("claims of no token: got no panic")
		}
	}()
	owner.Principal(popauthtest.Claims{"exp": "tomorrow"})
}

// A program that is configured by an issuer's URL and authority is tested as it is.
func ExampleIssuer_RootCAs() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	issuer := popauthtest.NewIssuer(t)
	api := func(issuer string, authorities *x509.CertPool) (http.Handler, error) { // what the program makes of its configuration
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: issuer, RootCAs: authorities})
		if err != nil {
			return nil, err
		}
		guard, err := popauth.New(popauth.Options{Issuer: issuer, Audience: []string{popauthtest.Audience}, Keys: keys})
		return guard.Authenticate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), err
	}
	handler, err := api(issuer.URL, issuer.RootCAs())
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, (*popauthtest.Client)(nil).Request("GET", "/orders", issuer.Token()))
	fmt.Println(w.Code)
	// Output: 200
}

// A Principal is field by field the one that a Guard makes of a token with the same claims, and Claims reads the same of both: what
// a handler or a policy of the program finds in a test it finds in operation.
func TestPrincipalIsTheGuards(t *testing.T) {
	issuer, owner := popauthtest.NewIssuer(t), popauthtest.SelfSigned(t, "owner")
	same := popauthtest.Claims{"iss": issuer.URL, "jti": "7", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	details := []any{popauthtest.Claims{"type": "order", "id": 7}}
	for name, claims := range map[string]popauthtest.Claims{
		"as it is": {}, "scopes": {"scope": "a b"}, "a list": {"scp": []string{"a", "b"}},
		"audiences": {"aud": []string{"x", popauthtest.Audience}},
		"no client": {"client_id": popauthtest.Omit}, "no user": {"sub": popauthtest.Omit},
		"a user's login":      {"sub": "alice", "acr": "phr", "auth_time": 1_800_000_000, "authorization_details": details},
		"claims of all types": {"tenant": 7, "roles": []string{"a"}, "nested": popauthtest.Claims{"é": nil}, "big": 1 << 60},
	} {
		var asked *popauth.Principal
		guard, err := popauth.New(issuer.Options())
		if err != nil {
			t.Fatal(err)
		}
		policy := popauth.PolicyFunc(func(_ *http.Request, p *popauth.Principal) error {
			asked = p
			return nil
		})
		want, err := guard.Check(owner.Request("GET", "/", issuer.Token(owner.Bound(), same, claims)), policy, popauth.BoundBy("x5t#S256"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := owner.Principal(same, claims)
		ofToken, err := popauth.Claims[map[string]any](want)
		if err != nil {
			t.Fatal(err)
		}
		own, err := popauth.Claims[map[string]any](got)
		if err != nil || !reflect.DeepEqual(own, ofToken) {
			t.Errorf("%s: got the claims %v, %v, want %v", name, own, err, ofToken)
		}
		for _, p := range []*popauth.Principal{got, want, asked} {
			p.Certificate = &popauth.Certificate{Thumbprint: p.Certificate.Thumbprint}
		}
		for i, f := range reflect.VisibleFields(reflect.TypeFor[popauth.Principal]()) {
			a, b, c := reflect.ValueOf(got).Elem().Field(i), reflect.ValueOf(want).Elem().Field(i), reflect.ValueOf(asked).Elem().Field(i)
			if f.IsExported() && (!reflect.DeepEqual(a.Interface(), b.Interface()) || !reflect.DeepEqual(a.Interface(), c.Interface())) {
				t.Errorf("%s: %s: got %v, want %v, and a policy saw %v", name, f.Name, a, b, c)
			}
		}
	}
}
