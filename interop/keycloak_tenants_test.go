//go:build unix

package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
)

// Realms are tenants: two have a client of the same name, who comes by the same certificate, and a user of the same name.
func testKeycloakTenants(t *testing.T, k *keycloak) {
	jwts := func(realm string) popauth.Verifier {
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
			Issuer: k.realm(realm), Audience: []string{structured}, TokenTypes: []string{"JWT"},
			RequiredClaims: []string{"typ", "azp"}, ClientClaim: "azp",
			Keys: k.keys(func(o *popauth.RemoteKeysOptions) { o.Issuer = k.realm(realm) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for form, ofShop := range map[string]popauth.Verifier{"JWT": jwts(shop), "introspection": k.asked("api", structured)} {
		t.Run(form, func(t *testing.T) {
			verifier, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{
				k.realm(shop): ofShop, k.realm(otherShop): jwts(otherShop),
			}})
			if err != nil {
				t.Fatal(err)
			}
			testKeycloakTenantsOf(t, k, verifier, form == "JWT")
		})
	}
}

func testKeycloakTenantsOf(t *testing.T, k *keycloak, verifier *issuers.Verifier, jwts bool) {
	defer func(outer testing.TB) { k.TB = outer }(k.TB)
	k.TB = t
	tokens := map[string]string{}
	for _, realm := range []string{shop, otherShop} {
		tokens[realm] = k.member(k.grant(realm, "bound", nil, clientCredentials()), "access_token")
	}
	tenant := popauth.IssuerFunc(func(r *http.Request) (string, error) {
		return map[string]string{shop: k.realm(shop), otherShop: k.realm(otherShop)}[r.PathValue("tenant")], nil
	})
	byPath := k.api(popauth.Options{Verifier: verifier}, tenant, popauth.Client("bound"))
	forbidden := outcome{status: http.StatusForbidden, reason: popauth.ErrForbidden}
	for realm, token := range tokens {
		byName := k.api(popauth.Options{Verifier: verifier}, popauth.Issuer(k.realm(realm)), popauth.Client("bound"))
		for of, other := range tokens {
			want := forbidden
			if of == realm {
				want = wanted("")
			}
			if got := byName.at(t, confirmed, k.byDN, other); got != want {
				t.Errorf("%s's token on %s's route, by Issuer:\ngot  %+v\nwant %+v", of, realm, got, want)
			}
			if got := byPath.at(t, "/"+realm+confirmed, k.byDN, other); got != want {
				t.Errorf("%s's token on %s's route, by IssuerFunc:\ngot  %+v\nwant %+v", of, realm, got, want)
			}
		}
		if got := byPath.at(t, "/nobody"+confirmed, k.byDN, token); got != forbidden {
			t.Errorf("%s's token on the route of no tenant:\ngot  %+v\nwant %+v", realm, got, forbidden)
		}
		if got := byPath.at(t, "/"+realm+confirmed, nil, token); got != wanted(popauth.ErrCertificateMissing) {
			t.Errorf("%s's token, without its certificate: got %+v", realm, got)
		}
	}

	// The admin of a realm signs what he likes, with his own keys only.
	forged := rewritten(t, tokens[otherShop], nil, object{"iss": k.realm(shop)})
	renamed := rewritten(t, tokens[otherShop], object{"kid": kidOf(t, tokens[shop])}, object{"iss": k.realm(shop)})
	for token, want := range map[string]popauth.Reason{forged: popauth.ErrTokenKey, renamed: popauth.ErrTokenSignature} {
		if !jwts {
			want = popauth.ErrTokenInvalid
		}
		if got := byPath.at(t, "/"+shop+confirmed, k.byDN, token); got != wanted(want) {
			t.Errorf("other's token that says it is shop's:\ngot  %+v\nwant %+v", got, wanted(want))
		}
	}

	verifier.Remove(k.realm(otherShop))
	if got, want := byPath.at(t, "/"+otherShop+confirmed, k.byDN, tokens[otherShop]), wanted(popauth.ErrTokenIssuer); got != want {
		t.Errorf("a tenant who has left:\ngot  %+v\nwant %+v", got, want)
	}
	if got, want := byPath.at(t, "/"+shop+confirmed, k.byDN, tokens[shop]), wanted(""); got != want {
		t.Errorf("the tenant who stays:\ngot  %+v\nwant %+v", got, want)
	}
}

// realm is the issuer that a realm is.
func (k *keycloak) realm(name string) string { return k.base + "/realms/" + name }

// rewritten is the token with these members in its header and payload, and the signature that it had.
func rewritten(tb testing.TB, token string, header, payload object) string {
	tb.Helper()
	parts := strings.Split(token, ".")
	for i, members := range []object{header, payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		var all object
		if err == nil {
			err = json.Unmarshal(text, &all)
		}
		if err == nil {
			maps.Copy(all, members)
			text, err = json.Marshal(all)
		}
		if err != nil {
			tb.Fatal(err)
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(text)
	}
	return strings.Join(parts, ".")
}

// kidOf names the key that a JWT is signed with.
func kidOf(tb testing.TB, token string) string {
	tb.Helper()
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	var header struct{ KID string }
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil || header.KID == "" {
		tb.Fatalf("got the kid %q, %v, want one", header.KID, err)
	}
	return header.KID
}
