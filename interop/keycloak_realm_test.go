//go:build unix

package interop_test

import (
	"encoding/json"
	"maps"
	"testing"
)

// keycloakClient is a client of Keycloak's realm, named after the switches that are on.
type keycloakClient struct {
	id         string
	by         string            // how it authenticates: by default its secret
	attributes map[string]string // Keycloak's switches, beside those of bound
	members    object            // further members of the registration

	bound string // what its tokens are bound to: x5t#S256, jkt or x5t#S256+jkt
	users bool   // log in by it
}

const (
	byCertificate = "client-x509"
	byNothing     = "none"

	tokenAlgorithm = "access.token.signed.response.alg"
	lightweight    = "client.use.lightweight.access.token.enabled"
)

// keycloakClients are those of the realm shop.
var keycloakClients = []keycloakClient{
	{id: "plain"},
	{id: "es512", attributes: map[string]string{tokenAlgorithm: "ES512"}},
	{id: "hs512", attributes: map[string]string{tokenAlgorithm: "HS512"}},
	{id: "short", bound: "x5t#S256", attributes: map[string]string{"access.token.lifespan": "1"}},

	{id: "bound", bound: "x5t#S256"},
	{id: "es256", bound: "x5t#S256", attributes: map[string]string{tokenAlgorithm: "ES256"}},
	{id: "ps256", bound: "x5t#S256", attributes: map[string]string{tokenAlgorithm: "PS256"}},
	{id: "eddsa", bound: "x5t#S256", attributes: map[string]string{tokenAlgorithm: "EdDSA"}},
	{id: "rfc9068", bound: "x5t#S256", attributes: map[string]string{"access.token.header.type.rfc9068": "true"}},
	{id: "light", bound: "x5t#S256", attributes: map[string]string{lightweight: "true"}},
	{id: "tls", bound: "x5t#S256", by: byCertificate},
	{id: "tls-unbound", by: byCertificate},
	{id: "tls-dpop", bound: "jkt", by: byCertificate},

	{id: "dpop", bound: "jkt"},
	{id: "dpop-optional"},
	{id: "light-dpop", bound: "jkt", attributes: map[string]string{lightweight: "true"}},
	{id: "both", bound: "x5t#S256+jkt"},

	{id: "web", users: true, bound: "x5t#S256", attributes: map[string]string{
		"exclude.issuer.from.auth.response": "true",
		"user.info.response.signature.alg":  "RS256",
	}},
	{id: "web-issuer", users: true},
	{id: "web-dpop", users: true, bound: "jkt"},
	{id: "public-dpop", users: true, bound: "jkt", by: byNothing},

	{id: "api", members: object{
		"authorizationServicesEnabled": true,
		"authorizationSettings": object{
			"resources": []object{{"name": "orders"}},
			"policies": []object{
				{"name": "anybody", "type": "regex", "config": object{"targetClaim": "sub", "pattern": ".*"}},
				{"name": "orders", "type": "resource", "config": object{"resources": `["orders"]`, "applyPolicies": `["anybody"]`}},
			},
		},
	}},
}

// The realms, and what is the same in both.
const (
	shop, otherShop  = "shop", "other"
	keycloakUser     = "alice"
	keycloakRedirect = "http://127.0.0.1/callback"
)

// keycloakRealms are the files that Keycloak imports, by the name of the realm.
func keycloakRealms(tb testing.TB) map[string]string {
	tb.Helper()
	files := map[string]string{}
	for realm, clients := range map[string][]keycloakClient{
		shop:      keycloakClients,
		otherShop: {{id: "plain"}, {id: "bound", bound: "x5t#S256"}},
	} {
		registrations := make([]object, len(clients))
		for i, c := range clients {
			registrations[i] = c.registration()
		}
		file, err := json.Marshal(object{
			"realm": realm, "enabled": true, "accessTokenLifespan": 300, "clients": registrations,
			// Logging in by password alone wants a user whose profile is complete.
			"users": []object{{
				"username": keycloakUser, "enabled": true, "emailVerified": true,
				"email": "alice@example.com", "firstName": "Alice", "lastName": "Example",
				"credentials": []object{{"type": "password", "value": clientSecret}},
				"realmRoles":  []string{"default-roles-" + realm, "offline_access"},
			}},
		})
		if err != nil {
			tb.Fatal(err)
		}
		files[realm] = string(file)
	}
	return files
}

// registration is the client in Keycloak's words.
func (c keycloakClient) registration() object {
	attributes := map[string]string{}
	switch c.bound {
	case "x5t#S256":
		attributes["tls.client.certificate.bound.access.tokens"] = "true"
	case "jkt":
		attributes["dpop.bound.access.tokens"] = "true"
	case "x5t#S256+jkt":
		attributes["tls.client.certificate.bound.access.tokens"] = "true"
		attributes["dpop.bound.access.tokens"] = "true"
	}
	o := object{
		"clientId": c.id, "publicClient": c.by == byNothing, "serviceAccountsEnabled": c.by != byNothing,
		"standardFlowEnabled": c.users, "directAccessGrantsEnabled": c.users, "redirectUris": []string{keycloakRedirect},
		"fullScopeAllowed": true, "attributes": attributes,
		"protocolMappers": []object{
			audience("for-api", "included.custom.audience", structured),
			// Introspection calls a token inactive unless the client that asks is in its audience.
			audience("for-introspection", "included.client.audience", "api"),
		},
	}
	switch c.by {
	case "":
		o["secret"] = clientSecret
	case byCertificate:
		o["clientAuthenticatorType"] = byCertificate
		attributes["x509.subjectdn"] = "CN=by-dn,O=Orders"
		attributes["x509.allow.regex.pattern.comparison"] = "false"
	}
	maps.Copy(attributes, c.attributes)
	maps.Copy(o, c.members)
	return o
}

// audience is a mapper, which adds to the aud of access tokens.
func audience(name, kind, value string) object {
	return object{
		"name": name, "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
		"config": object{kind: value, "access.token.claim": "true", "introspection.token.claim": "true"},
	}
}
