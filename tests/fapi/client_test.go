package fapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A token without the scope of a route is answered as RFC 6750, section 3.1, has it.
func TestFAPI2Scope(t *testing.T) {
	a := newAPI(t)
	o := lab.Send(a.strict.Authorize(popauth.Scope("orders.cancel")), a.Owner.Request("GET", "/orders", a.Bound()))
	o.Refused(t, http.StatusForbidden, lab.LacksScope)
	lab.Send(a.strict.Authorize(popauth.Scope("orders.read")), a.Owner.Request("GET", "/orders", a.Bound())).Passed(t)
}

// An assertion's aud is the issuer, as a string and not as a list of one.
func TestFAPI2Assertion(t *testing.T) {
	l := lab.New(t)
	var assertion string
	l.Issuer.Handle("/introspect", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertion = r.PostFormValue("client_assertion")
		_, _ = w.Write([]byte(lab.Active))
	}))
	v := l.Introspection(func(o *introspection.Options) { o.Authentication = privateKeyJWT(t) })
	if _, err := v.Verify(t.Context(), "opaque"); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q", assertion)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != l.Issuer.URL {
		t.Errorf("aud: got %v, want %q", claims["aud"], l.Issuer.URL)
	}
}

// A client gets a new access token by its refresh token, with a proof, and goes on with the refresh token that it gets
// then.
func TestFAPI2Refresh(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	bound := popauthtest.Claims{"cnf": map[string]string{"jkt": key.Thumbprint()}}
	proofs, err := dpop.New(dpop.Options{BaseURL: issuer.URL}.FAPI2())
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	issuer.Handle("POST /token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.PostFormValue("refresh_token"))
		jkt, err := proofs.ProveKey(w.Header(), r, time.Now())
		if err != nil || jkt != key.Thumbprint() || r.PostFormValue("grant_type") != "refresh_token" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": issuer.Token(bound), "token_type": "DPoP", "expires_in": 1, "refresh_token": "second", // over at once
		})
	}))
	spy := &popauthtest.Spy{}
	api := popauthtest.NewServer(t, http.NotFoundHandler())
	options := issuer.Options()
	own, err := dpop.New(dpop.Options{BaseURL: api.URL}.FAPI2())
	if err != nil {
		t.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{own}
	options.Revoked = func(context.Context, *popauth.Token) (bool, error) { return false, nil }
	guard, err := popauth.New(options.FAPI2())
	if err != nil {
		t.Fatal(err)
	}
	api.Config.Handler = popauth.RequestLine{}.Handler(guard.Authenticate(spy))
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient,
		&http.Client{Transport: &popclient.Proofs{Key: key, Base: issuer.Client().Transport}})
	config := oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: issuer.URL + "/token",
		AuthStyle: oauth2.AuthStyleInParams}}
	source := config.TokenSource(ctx, &oauth2.Token{
		AccessToken: "over", TokenType: "DPoP", RefreshToken: "first", Expiry: time.Now().Add(-time.Hour),
	})
	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: source, Base: api.Client().Transport}}
	for n := range 2 {
		resp, err := client.Get(api.URL + "/orders")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || spy.Ran() != n+1 {
			t.Errorf("request %d: got %d, the handler ran %d times", n+1, resp.StatusCode, spy.Ran())
		}
	}
	if got := strings.Join(seen, " "); got != "first second" {
		t.Errorf("refresh tokens: got %q, want the one that came last each time", got)
	}
}
