package issuers_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// keycloakRoles are a user's or a service account's: in the realm, and at each client.
type keycloakRoles struct {
	Realm struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`
	Clients map[string]struct {
		Roles []string `json:"roles"`
	} `json:"resource_access"`
}

// keycloakRole asks for a role of this client, which is the API's own: others' roles may have the same name.
func keycloakRole(client, role string) popauth.Policy {
	return popauth.ClaimsPolicy(func(c keycloakRoles) error {
		if roles := c.Clients[client].Roles; !slices.Contains(roles, role) {
			return fmt.Errorf("got the roles %q of %s, want %q", roles, client, role)
		}
		return nil
	})
}

// keycloakRealmRole asks for a role of the realm.
func keycloakRealmRole(role string) popauth.Policy {
	return popauth.ClaimsPolicy(func(c keycloakRoles) error {
		if roles := c.Realm.Roles; !slices.Contains(roles, role) {
			return fmt.Errorf("got the roles %q of the realm, want %q", roles, role)
		}
		return nil
	})
}

// exampleTB stands in for the *testing.T that a test of yours has.
type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

func Example_keycloakRoles() {
	var t exampleTB
	issuer, owner := popauthtest.NewIssuer(t), popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options()) // in production: those of Keycloak's entry in docs/issuers.md
	if err != nil {
		log.Fatal(err)
	}
	orders := &popauthtest.Spy{}
	api := guard.Confirm(guard.Authorize(keycloakRole("orders-api", "reader"))(orders))

	for _, access := range []popauthtest.Claims{
		{"orders-api": popauthtest.Claims{"roles": []string{"reader"}}},
		{"orders-api": popauthtest.Claims{"roles": []string{"writer"}}},
		{"billing-api": popauthtest.Claims{"roles": []string{"reader"}}}, // another API's readers
	} {
		w := httptest.NewRecorder()
		token := issuer.Token(owner.Bound(), popauthtest.Claims{"resource_access": access})
		api.ServeHTTP(w, owner.Request("GET", "https://api.example.com/orders", token))
		fmt.Println(w.Code)
	}
	fmt.Println("the handler ran:", orders.Ran())
	// Output:
	// 200
	// 403
	// 403
	// the handler ran: 1
}

// A role counts where it was given, spelled to the letter, in a list of strings.
func TestKeycloakRoles(t *testing.T) {
	issuer, owner := popauthtest.NewIssuer(t), popauthtest.SelfSigned(t, "owner")
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	type claims = popauthtest.Claims
	roles := func(all any) claims { return claims{"roles": all} }
	reader := roles([]string{"other", "reader"})
	for name, tt := range map[string]struct {
		claims        claims
		client, realm bool // passes keycloakRole, keycloakRealmRole
	}{
		"of the client": {claims: claims{"resource_access": claims{"orders-api": reader}}, client: true},
		"of the realm":  {claims: claims{"realm_access": reader}, realm: true},
		"of both": {
			claims: claims{"realm_access": reader, "resource_access": claims{"orders-api": reader}}, client: true, realm: true,
		},
		"none":                        {claims: claims{}},
		"of another client":           {claims: claims{"resource_access": claims{"other-api": reader}}},
		"of a client in another case": {claims: claims{"resource_access": claims{"Orders-API": reader}}},
		"a member in another case":    {claims: claims{"Resource_Access": claims{"orders-api": reader}, "REALM_ACCESS": reader}},
		"a role in another case":      {claims: claims{"realm_access": roles([]string{"Reader"})}},
		"a longer role":               {claims: claims{"realm_access": roles([]string{"readers"})}},
		"a string": {claims: claims{
			"realm_access": roles("reader"), "resource_access": claims{"orders-api": roles("reader")},
		}},
		"a list of lists":  {claims: claims{"realm_access": roles([]any{[]string{"reader"}})}},
		"null":             {claims: claims{"realm_access": nil, "resource_access": claims{"orders-api": nil}}},
		"null for roles":   {claims: claims{"realm_access": roles(nil)}},
		"outside of roles": {claims: claims{"realm_access": []string{"reader"}}},
		"a client's claim": {claims: claims{"roles": []string{"reader"}, "scope": "reader"}},
	} {
		for policy, of := range map[string]struct {
			policy popauth.Policy
			passes bool
		}{
			"keycloakRole":      {keycloakRole("orders-api", "reader"), tt.client},
			"keycloakRealmRole": {keycloakRealmRole("reader"), tt.realm},
		} {
			stages := func(h http.Handler) http.Handler { return guard.Confirm(guard.Authorize(of.policy)(h)) }
			want := http.StatusForbidden
			if of.passes {
				want = http.StatusOK
			}
			got := lab.Send(stages, owner.Request("GET", "https://api.example.com/orders", issuer.Token(owner.Bound(), tt.claims)))
			if got.Status != want || got.Ran != of.passes {
				t.Errorf("%s, %s: got %d, ran %t, want %d", policy, name, got.Status, got.Ran, want)
			}
		}
	}
}
