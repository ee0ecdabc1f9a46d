//go:build unix

package interop_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
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

// keycloakReaders are users, by where they have the role reader: at a client, in the realm, or nowhere.
var keycloakReaders = []struct {
	name          string
	client        string // where the role is given
	realm         bool
	passes        bool // a route for the API's readers
	passesOfRealm bool // a route for the realm's
}{
	{name: "nobody"},
	{name: "of-api", client: "api", passes: true},
	{name: "of-realm", realm: true, passesOfRealm: true},
	{name: "of-another", client: "plain"},
}

// Keycloak's roles reach policies alike by JWT and by introspection.
func testKeycloakRoles(t *testing.T, k *keycloak) {
	role := object{"name": "reader"}
	k.admin(http.MethodPost, "/roles", role)
	for _, client := range []string{"api", "plain"} {
		k.admin(http.MethodPost, "/clients/"+k.internalID(client)+"/roles", role)
	}
	audiences := keycloakClient{}.registration()["protocolMappers"].([]object)
	for _, mapper := range audiences {
		mapper["config"].(object)["lightweight.claim"] = "true"
	}
	for _, client := range []keycloakClient{
		{id: "roles-light", users: true, bound: "x5t#S256", attributes: map[string]string{lightweight: "true"},
			members: object{"protocolMappers": audiences}},
		{id: "roles-narrow", users: true, bound: "x5t#S256", members: object{"fullScopeAllowed": false}},
	} {
		k.admin(http.MethodPost, "/clients", client.registration())
	}
	type pair struct{ jwts, asking *api }
	apis := func(policy popauth.Policy) pair {
		return pair{
			k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, policy),
			k.api(popauth.Options{Verifier: k.asked("api", structured)}, policy),
		}
	}
	ofAPI, ofRealm := apis(keycloakRole("api", "reader")), apis(keycloakRealmRole("reader"))
	passes := func(p pair, token, what string, jwt, introspected bool) {
		t.Helper()
		for form, of := range map[string]struct {
			api    *api
			passes bool
		}{"JWT": {p.jwts, jwt}, "introspection": {p.asking, introspected}} {
			want := outcome{status: http.StatusForbidden, reason: popauth.ErrForbidden}
			if of.passes {
				want = wanted("")
			}
			if got := of.api.use(t, k.byDN, token); got != want {
				t.Errorf("%s, %s:\ngot  %+v\nwant %+v", form, what, got, want)
			}
		}
	}
	for _, user := range keycloakReaders {
		k.admin(http.MethodPost, "/users", object{
			"username": user.name, "enabled": true, "emailVerified": true, "firstName": "A", "lastName": "Reader",
			"email": user.name + "@example.com", "credentials": []object{{"type": "password", "value": clientSecret}},
		})
		var role, mappings string // where the admin API has them
		switch of := "/users/" + k.userID(user.name) + "/role-mappings"; {
		case user.realm:
			role, mappings = "/roles/reader", of+"/realm"
		case user.client != "":
			client := "/clients/" + k.internalID(user.client)
			role, mappings = client+"/roles/reader", of+client
		}
		var given []object
		if role != "" {
			given = []object{k.admin(http.MethodGet, role, nil).members}
			k.admin(http.MethodPost, mappings, given)
		}
		token := k.tokenOf("web", user.name)
		passes(ofAPI, token, user.name+", a role of the API", user.passes, user.passes)
		passes(ofRealm, token, user.name+", a role of the realm", user.passesOfRealm, user.passesOfRealm)
		passes(ofAPI, k.tokenOf("roles-light", user.name), user.name+", a lightweight token", false, user.passes)
		passes(ofAPI, k.tokenOf("roles-narrow", user.name), user.name+", a client without full scope", false, false)
		if given != nil {
			k.admin(http.MethodDelete, mappings, given)
			passes(ofAPI, token, user.name+", the role taken away", user.passes, false)
		}
	}
}

// The page has this code.
func TestKeycloakRolesPage(t *testing.T) {
	page, err := os.ReadFile("../docs/issuers.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("keycloak_roles_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "### Roles of Keycloak\n")
	_, block, _ = strings.Cut(block, "```go\n")
	block, _, found := strings.Cut(block, "```")
	if !found || !strings.Contains(string(code), block) {
		t.Errorf("docs/issuers.md shows other code than what was run:\n%s", block)
	}
}

// tokenOf is a user's, by this client.
func (k *keycloak) tokenOf(client, user string) string {
	k.Helper()
	login := password("openid")
	login.Set("username", user)
	login.Set("client_secret", clientSecret)
	return k.member(k.grant(shop, client, nil, login), "access_token")
}
