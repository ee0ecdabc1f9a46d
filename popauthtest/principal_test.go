package popauthtest_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
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
