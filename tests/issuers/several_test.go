package issuers_test

import (
	"log"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// several is the code of the page.
func several(options []popauth.JWTOptions) *popauth.Guard {
	verifiers := map[string]popauth.Verifier{}
	for _, o := range options { // an entry each, as popauth.JWTOptions: the fields have the same names
		v, err := popauth.NewJWTVerifier(o)
		if err != nil {
			log.Fatal(err)
		}
		verifiers[o.Issuer] = v
	}
	verifier, err := issuers.New(issuers.Options{Verifiers: verifiers})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: verifier})
	if err != nil {
		log.Fatal(err)
	}
	return guard
}

// The tokens of each issuer pass one Guard by its own options, and by no other's.
func TestSeveral(t *testing.T) {
	keycloak, okta := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	guard := several([]popauth.JWTOptions{
		{
			Issuer: keycloak.URL, Keys: keycloak.Options().Keys, Audience: []string{"orders-api"},
			TokenTypes: []string{"at+jwt"}, RequiredClaims: []string{"azp"}, ClientClaim: "azp",
		},
		{
			Issuer: okta.URL, Keys: okta.Options().Keys, Audience: []string{"api://default"},
			TokenTypes: []string{""}, RequiredClaims: []string{"cid", "scp"}, ClientClaim: "cid",
		},
	})
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := keycloak.Token(owner.Bound(), popauthtest.Claims{
		"aud": "orders-api", "azp": "shop", "client_id": popauthtest.Omit, "scope": "orders.read",
	})
	untyped := popauthtest.Claims{"typ": popauthtest.Omit}
	ofOkta := popauthtest.Claims{
		"aud": "api://default", "cid": "shop", "client_id": popauthtest.Omit, "scp": []string{"orders.read"},
	}
	shaped := okta.TokenWith(untyped, ofOkta, owner.Bound())
	stages := func(h http.Handler) http.Handler {
		return guard.Confirm(guard.Authorize(popauth.Issuer(keycloak.URL, okta.URL), popauth.Scope("orders.read"))(h))
	}
	for _, tt := range []struct {
		name, token string
		by          *popauthtest.Client
		want        int
	}{
		{name: "of Keycloak", token: token, by: owner, want: http.StatusOK},
		{name: "of Okta", token: shaped, by: owner, want: http.StatusOK},
		{name: "a thief", token: shaped, by: thief, want: http.StatusUnauthorized},
		{
			name: "with the client_id of popauthtest", by: owner, want: http.StatusUnauthorized,
			token: keycloak.Token(owner.Bound(), popauthtest.Claims{"aud": "orders-api", "azp": "shop"}),
		},
		{
			name: "of Keycloak, shaped as Okta's", by: owner, want: http.StatusUnauthorized,
			token: keycloak.TokenWith(untyped, ofOkta, owner.Bound()),
		},
		{
			name: "of Keycloak, in the name of Okta", by: owner, want: http.StatusUnauthorized,
			token: keycloak.TokenWith(untyped, ofOkta, owner.Bound(), popauthtest.Claims{"iss": okta.URL}),
		},
		{name: "unbound", token: okta.TokenWith(untyped, ofOkta), by: owner, want: http.StatusUnauthorized},
	} {
		got := lab.Send(stages, tt.by.Request("GET", "https://api.example.com/orders", tt.token))
		if got.Status != tt.want || got.Ran != (tt.want == http.StatusOK) {
			t.Errorf("%s: got %d, ran %t, want %d", tt.name, got.Status, got.Ran, tt.want)
		}
	}
}
