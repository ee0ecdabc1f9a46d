package fapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
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
	if got := audience(t, assertion); got != l.Issuer.URL {
		t.Errorf("aud: got %v, want %q", got, l.Issuer.URL)
	}
}

// So is that of popclient: with the issuer that is configured, and with the Audience where there is none.
func TestFAPI2ClientAssertion(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	issuer.Metadata = popauthtest.Claims{"token_endpoint": issuer.URL + "/token"}
	var assertion string
	issuer.Handle("POST /token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertion = r.PostFormValue("client_assertion")
		w.WriteHeader(http.StatusBadRequest)
	}))
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer: issuer.URL, ClientID: "job", Authentication: popclient.PrivateKeyJWT{Key: key},
		Certificate: popclient.StaticCertificate(popauthtest.SelfSigned(t, "job").Certificate),
		Transport:   issuer.Client().Transport.(*http.Transport),
	})
	if err != nil {
		t.Fatal(err)
	}
	authenticated := &popclient.Authenticated{
		ClientID: "job", Authentication: popclient.PrivateKeyJWT{Key: key, Audience: issuer.URL},
		Endpoints: []string{issuer.URL + "/token"}, Base: issuer.Client().Transport,
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"job"}}
	for name, ask := range map[string]func() (*http.Response, error){
		"MutualTLS": func() (*http.Response, error) { return (&http.Client{Transport: transport}).Get("https://127.0.0.1/") },
		"Authenticated": func() (*http.Response, error) {
			return (&http.Client{Transport: authenticated}).PostForm(issuer.URL+"/token", form)
		},
	} {
		assertion = ""
		if resp, err := ask(); err == nil {
			_ = resp.Body.Close()
		}
		if got := audience(t, assertion); got != issuer.URL {
			t.Errorf("%s: aud: got %v, want %q", name, got, issuer.URL)
		}
	}
}

// audience is the aud of a JWT, in its own type.
func audience(t *testing.T, assertion string) any {
	t.Helper()
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q, want an assertion", assertion)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims["aud"]
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
