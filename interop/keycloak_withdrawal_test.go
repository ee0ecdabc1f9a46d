//go:build unix

package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// keycloakWithdrawal is a way to end a token before its exp.
type keycloakWithdrawal struct {
	name     string
	service  bool // the token is a client's own, without a user or a session
	withdraw func(k *keycloak, access, refresh string)
	restore  func(k *keycloak) // nil if the next token is good without it
}

var keycloakWithdrawals = []keycloakWithdrawal{
	{name: "access token revoked", withdraw: func(k *keycloak, access, _ string) { k.end("web", "revoke", "token", access) }},
	{name: "refresh token revoked", withdraw: func(k *keycloak, _, refresh string) { k.end("web", "revoke", "token", refresh) }},
	{name: "logout", withdraw: func(k *keycloak, _, refresh string) { k.end("web", "logout", "refresh_token", refresh) }},
	{name: "session deleted by the admin", withdraw: func(k *keycloak, access, _ string) {
		k.admin(http.MethodDelete, "/sessions/"+k.session(access), nil)
	}},
	{name: "user logged out by the admin", withdraw: func(k *keycloak, _, _ string) {
		k.admin(http.MethodPost, "/users/"+k.userID(keycloakUser)+"/logout", nil)
	}},
	{
		name: "user disabled",
		withdraw: func(k *keycloak, _, _ string) {
			k.admin(http.MethodPut, "/users/"+k.userID(keycloakUser), object{"enabled": false})
		},
		restore: func(k *keycloak) { k.admin(http.MethodPut, "/users/"+k.userID(keycloakUser), object{"enabled": true}) },
	},
	{
		name:     "client disabled",
		withdraw: func(k *keycloak, _, _ string) { k.enable("web", false) },
		restore:  func(k *keycloak) { k.enable("web", true) },
	},
	{name: "`notBefore` of the realm", withdraw: notBeforeNow, restore: notBeforeNever},

	{
		name: "service account: access token revoked", service: true,
		withdraw: func(k *keycloak, access, _ string) { k.end("bound", "revoke", "token", access) },
	},
	{
		name: "service account: client disabled", service: true,
		withdraw: func(k *keycloak, _, _ string) { k.enable("bound", false) },
		restore:  func(k *keycloak) { k.enable("bound", true) },
	},
	{name: "service account: `notBefore` of the realm", service: true, withdraw: notBeforeNow, restore: notBeforeNever},
}

func notBeforeNow(k *keycloak, _, _ string) {
	k.admin(http.MethodPut, "", object{"realm": shop, "notBefore": time.Now().Unix() + 1})
}

func notBeforeNever(k *keycloak) { k.admin(http.MethodPut, "", object{"realm": shop, "notBefore": 0}) }

// Whatever ends a token at Keycloak reaches an API that asks, at once, and never one that verifies JWTs.
func testKeycloakWithdrawal(t *testing.T, k *keycloak) {
	policy := popauth.Scope("email")
	jwts := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, policy)
	asking := k.api(popauth.Options{Verifier: k.asked("api", structured)}, policy)
	for _, test := range keycloakWithdrawals {
		var access, refresh string
		if test.service {
			access = k.member(k.grant(shop, "bound", nil, clientCredentials()), "access_token")
		} else {
			answer := k.grant(shop, "web", nil, asUser())
			access, refresh = k.member(answer, "access_token"), k.member(answer, "refresh_token")
		}
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

// The page has a row for each of them, and no other.
func TestKeycloakWithdrawalPage(t *testing.T) {
	page, err := os.ReadFile("../docs/withdrawal.md")
	if err != nil {
		t.Fatal(err)
	}
	const head = "| at Keycloak | a JWT | an introspected token |\n|---|---|---|\n"
	_, table, found := strings.Cut(string(page), head)
	if !found {
		t.Fatalf("docs/withdrawal.md has no table that begins with\n%s", head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	got := strings.Split(table, "\n")
	var want []string
	for _, w := range keycloakWithdrawals {
		want = append(want, "| "+w.name+" | `exp` and `Leeway` | `Remember` |")
	}
	for _, row := range got {
		if !slices.Contains(want, row) {
			t.Errorf("docs/withdrawal.md has the row %s, which no test has run", row)
		}
	}
	for _, row := range want {
		if !slices.Contains(got, row) {
			t.Errorf("docs/withdrawal.md has no row %s", row)
		}
	}
	if len(got) != len(want) {
		t.Errorf("docs/withdrawal.md has %d rows for Keycloak, want %d", len(got), len(want))
	}
}

// session is what the admin API calls the user's session that the token is of.
func (k *keycloak) session(access string) string {
	k.Helper()
	var claims struct{ SID string }
	if err := json.Unmarshal(payloadOf(k, access), &claims); err != nil || claims.SID == "" {
		k.Fatalf("got %v and the sid %q, want one", err, claims.SID)
	}
	return claims.SID
}

// payloadOf is that of a JWT.
func payloadOf(tb testing.TB, token string) []byte {
	tb.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("got a token of %d parts, want a JWT", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		tb.Fatal(err)
	}
	return payload
}

// enable switches a client of the realm on or off.
func (k *keycloak) enable(client string, enabled bool) {
	k.Helper()
	k.admin(http.MethodPut, "/clients/"+k.internalID(client), object{"clientId": client, "enabled": enabled})
}

// end sends a token of this client to an endpoint that ends it.
func (k *keycloak) end(client, endpoint, parameter, token string) {
	k.Helper()
	a := k.send(k.transport(k.byDN), k.request(http.MethodPost, k.endpoint(shop, endpoint), url.Values{
		"client_id": {client}, "client_secret": {clientSecret}, parameter: {token},
	}))
	if a.status >= http.StatusMultipleChoices {
		k.Fatalf("%s: got %d %s", endpoint, a.status, a.text)
	}
}

// userID is what the admin API calls a user.
func (k *keycloak) userID(name string) string {
	k.Helper()
	var found []struct{ ID string }
	a := k.admin(http.MethodGet, "/users?exact=true&username="+name, nil)
	if err := json.Unmarshal([]byte(a.text), &found); err != nil || len(found) != 1 {
		k.Fatalf("user %s: got %s, want one", name, a.text)
	}
	return found[0].ID
}
