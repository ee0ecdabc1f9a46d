//go:build unix

package interop_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
)

// keycloakToken is a token of Keycloak's, what it is bound to, and why an API refuses it whoever sends it.
type keycloakToken struct {
	name   string // by default the client's id
	client string
	realm  string // by default shop
	grant  func() url.Values
	member string // of the answer; by default access_token

	prove bool   // the client sends a proof of the owner's key
	bound string // x5t#S256, jkt or ""

	refusedJWT, refusedIntrospected popauth.Reason
}

var keycloakTokens = []keycloakToken{
	{client: "plain"},
	{client: "es512"},
	{client: "hs512", refusedJWT: popauth.ErrTokenAlgorithm}, // nobody but Keycloak has the key
	{client: "tls-unbound"},
	{name: "dpop-optional, without a proof", client: "dpop-optional"},

	{client: "bound", bound: "x5t#S256"},
	{client: "es256", bound: "x5t#S256"},
	{client: "ps256", bound: "x5t#S256"},
	{client: "eddsa", bound: "x5t#S256"},
	{client: "rfc9068", bound: "x5t#S256"},
	{client: "light", bound: "x5t#S256", refusedJWT: popauth.ErrTokenAudience}, // it has none
	{client: "tls", bound: "x5t#S256"},
	{client: "web", bound: "x5t#S256", grant: asUser},

	{client: "dpop", prove: true, bound: "jkt"},
	{client: "dpop-optional", prove: true, bound: "jkt"},
	{client: "light-dpop", prove: true, bound: "jkt", refusedJWT: popauth.ErrTokenAudience},
	{client: "tls-dpop", prove: true, bound: "jkt"},
	{client: "web-dpop", prove: true, bound: "jkt", grant: asUser},
	{client: "public-dpop", prove: true, bound: "jkt", grant: asUser},

	// A fault of Keycloak's: with both switches on, the token has the type DPoP and is bound to the certificate alone.
	// A client goes by the type and sends it under DPoP, where a certificate doesn't count. Only Keycloak can mend that.
	{
		name: "both, Keycloak's fault", client: "both", prove: true, bound: "x5t#S256",
		refusedJWT: popauth.ErrBindingMalformed, refusedIntrospected: popauth.ErrBindingMalformed,
	},

	{
		name: "web, ID token", client: "web", grant: asUser, member: "id_token",
		refusedJWT: popauth.ErrTokenType, refusedIntrospected: popauth.ErrTokenInvalid,
	},
	{
		name: "web, refresh token", client: "web", grant: asUser, member: "refresh_token",
		refusedJWT: popauth.ErrTokenAlgorithm, refusedIntrospected: popauth.ErrTokenInvalid,
	},
	{
		name: "other realm, plain", client: "plain", realm: otherShop,
		refusedJWT: popauth.ErrTokenIssuer, refusedIntrospected: popauth.ErrTokenInvalid,
	},
	{
		name: "other realm, bound", client: "bound", realm: otherShop, bound: "x5t#S256",
		refusedJWT: popauth.ErrTokenIssuer, refusedIntrospected: popauth.ErrTokenInvalid,
	},
}

func asUser() url.Values { return password("openid") }

// obtain is the token, and the refreshed one if there is a refresh token beside it.
func (t keycloakToken) obtain(k *keycloak) (token, refreshed string) {
	k.Helper()
	key := k.key
	if !t.prove {
		key = nil
	}
	answer := k.grant(t.realm, t.client, key, t.grant())
	token = k.member(answer, t.member)
	if refresh, ok := answer.members["refresh_token"].(string); ok && t.member == "access_token" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
		refreshed = k.member(k.grant(t.realm, t.client, key, form), "access_token")
	}
	return token, refreshed
}

// kinds are the tokens, those that are refreshed too, each for an API that verifies JWTs and for one that asks.
func (k *keycloak) kinds(jwts, asking *api) []kind {
	k.Helper()
	var all []kind
	add := func(t keycloakToken, name, token string) {
		k := kind{form: "JWT", name: name, bound: t.bound, token: token, api: jwts, path: authenticated, refused: t.refusedJWT}
		all = append(all, k)
		k.form, k.api, k.refused = "introspection", asking, t.refusedIntrospected
		all = append(all, k)
	}
	for _, t := range keycloakTokens {
		if t.name == "" {
			t.name = t.client
		}
		if t.realm == "" {
			t.realm = shop
		}
		if t.grant == nil {
			t.grant = clientCredentials
		}
		if t.member == "" {
			t.member = "access_token"
		}
		token, refreshed := t.obtain(k)
		add(t, t.name, token)
		if refreshed != "" {
			add(t, t.name+", refreshed", refreshed)
		}
	}
	return all
}

// asked introspects as a client of the realm, for an API of this audience, and remembers nothing.
func (k *keycloak) asked(id, audience string) *introspection.Verifier {
	k.Helper()
	i, err := introspection.New(introspection.Options{
		Issuer: k.issuer, Audience: []string{audience}, Remember: -1,
		Authentication: introspection.ClientSecretBasic{ID: id, Secret: clientSecret},
		Client:         &http.Client{Transport: k.transport(nil)},
	})
	if err != nil {
		k.Fatal(err)
	}
	return i
}

// Every token that Keycloak issues, in every hand, at an API that verifies JWTs and at one that asks Keycloak.
func testKeycloakTable(t *testing.T, k *keycloak) {
	// Keycloak's clients have these scopes unless somebody takes them away.
	policy := popauth.Scope("email")
	jwts := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, policy)
	asking := k.api(popauth.Options{Verifier: k.asked("api", structured)}, policy)

	var table strings.Builder
	rows, wrong := 0, 0
	for _, kind := range k.kinds(jwts, asking) {
		fmt.Fprintf(&table, "%-13s %-30s %-8s", kind.form, kind.name, kind.bound)
		for _, sender := range senders {
			want, got := sender.want(kind), sender.send(k.scene, kind)
			rows++
			sign := " "
			if got != want {
				wrong++
				sign = "!"
				t.Errorf("%s, %s, %s:\ngot  %+v\nwant %+v", kind.form, kind.name, sender.name, got, want)
			}
			fmt.Fprintf(&table, " %d%s", got.status, sign)
		}
		table.WriteString("\n")
	}
	for i, sender := range senders {
		fmt.Fprintf(&table, "column %d: %s\n", i+1, sender.name)
	}
	t.Logf("\n%s%d rows, %d wrong", &table, rows, wrong)
}
