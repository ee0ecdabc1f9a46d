//go:build unix

package interop_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// keycloakWithdrawal is a way to end a token before its exp.
type keycloakWithdrawal struct {
	name     string
	withdraw func(k *keycloak, access, refresh string)
	restore  func(k *keycloak) // nil if the next token is good without it
}

var keycloakWithdrawals = []keycloakWithdrawal{
	{name: "access token revoked", withdraw: func(k *keycloak, access, _ string) { k.end("revoke", "token", access) }},
	{name: "refresh token revoked", withdraw: func(k *keycloak, _, refresh string) { k.end("revoke", "token", refresh) }},
	{name: "logout", withdraw: func(k *keycloak, _, refresh string) { k.end("logout", "refresh_token", refresh) }},
	{
		name: "user disabled",
		withdraw: func(k *keycloak, _, _ string) {
			k.admin(http.MethodPut, "/users/"+k.userID(), object{"enabled": false})
		},
		restore: func(k *keycloak) { k.admin(http.MethodPut, "/users/"+k.userID(), object{"enabled": true}) },
	},
	{
		name: "client disabled",
		withdraw: func(k *keycloak, _, _ string) {
			k.admin(http.MethodPut, "/clients/"+k.internalID("web"), object{"clientId": "web", "enabled": false})
		},
		restore: func(k *keycloak) {
			k.admin(http.MethodPut, "/clients/"+k.internalID("web"), object{"clientId": "web", "enabled": true})
		},
	},
	{
		name: "notBefore of the realm",
		withdraw: func(k *keycloak, _, _ string) {
			k.admin(http.MethodPut, "", object{"realm": shop, "notBefore": time.Now().Unix() + 1})
		},
		restore: func(k *keycloak) { k.admin(http.MethodPut, "", object{"realm": shop, "notBefore": 0}) },
	},
}

// Whatever ends a token at Keycloak reaches an API that asks, at once, and never one that verifies JWTs.
func testKeycloakWithdrawal(t *testing.T, k *keycloak) {
	policy := popauth.Scope("email")
	jwts := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, policy)
	asking := k.api(popauth.Options{Verifier: k.asked("api", structured)}, policy)
	for _, test := range keycloakWithdrawals {
		answer := k.grant(shop, "web", nil, asUser())
		access, refresh := k.member(answer, "access_token"), k.member(answer, "refresh_token")
		jwts.want(t, k.byDN, access, test.name+", JWT before", "")
		asking.want(t, k.byDN, access, test.name+", introspection before", "")
		test.withdraw(k, access, refresh)
		jwts.want(t, k.byDN, access, test.name+", JWT", "")
		asking.want(t, k.byDN, access, test.name+", introspection", popauth.ErrTokenInvalid)
		if test.restore != nil {
			test.restore(k)
		}
	}
}

// end sends a token of the client web to an endpoint that ends it.
func (k *keycloak) end(endpoint, parameter, token string) {
	k.Helper()
	a := k.send(k.transport(k.byDN), k.request(http.MethodPost, k.endpoint(shop, endpoint), url.Values{
		"client_id": {"web"}, "client_secret": {clientSecret}, parameter: {token},
	}))
	if a.status >= http.StatusMultipleChoices {
		k.Fatalf("%s: got %d %s", endpoint, a.status, a.text)
	}
}

// userID is what the admin API calls the user.
func (k *keycloak) userID() string {
	k.Helper()
	var found []struct{ ID string }
	a := k.admin(http.MethodGet, "/users?exact=true&username="+keycloakUser, nil)
	if err := json.Unmarshal([]byte(a.text), &found); err != nil || len(found) != 1 {
		k.Fatalf("user: got %s, want one", a.text)
	}
	return found[0].ID
}
