//go:build unix

package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// Keycloak signs with the active key of the highest priority, from the moment at which there is one.
func testKeycloakRotationAtOnce(t *testing.T, k *keycloak) {
	rotations := 0
	rotation{
		server: k.authorizationServer, policy: []popauth.Policy{popauth.Scope("email")},
		token: func() string { return k.member(k.grant(shop, "plain", nil, clientCredentials()), "access_token") },
		rotate: func() {
			rotations++
			active := k.signingProviders()
			k.admin(http.MethodPost, "/components", object{
				"name": fmt.Sprint("rotation-", rotations), "providerId": "rsa-generated", "providerType": keyProvider,
				"config": object{"priority": []string{fmt.Sprint(1000 + rotations)}, "algorithm": []string{"RS256"}},
			})
			for _, c := range active {
				c.Config["active"], c.Config["enabled"] = []string{"false"}, []string{"false"}
				k.admin(http.MethodPut, "/components/"+c.ID, c)
			}
		},
	}.test(t)
}

const keyProvider = "org.keycloak.keys.KeyProvider"

// keycloakComponent is what the admin API reads and writes.
type keycloakComponent struct {
	ID           string              `json:"id"`
	Name         string              `json:"name"`
	ProviderID   string              `json:"providerId"`
	ProviderType string              `json:"providerType"`
	ParentID     string              `json:"parentId"`
	Config       map[string][]string `json:"config"`
}

// signingProviders are those of the realm's keys for RS256.
func (k *keycloak) signingProviders() []keycloakComponent {
	k.Helper()
	var all, found []keycloakComponent
	a := k.admin(http.MethodGet, "/components?type="+url.QueryEscape(keyProvider), nil)
	if err := json.Unmarshal([]byte(a.text), &all); err != nil {
		k.Fatal(err)
	}
	for _, c := range all {
		if c.ProviderID == "rsa-generated" {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		k.Fatalf("key providers: got %s, want one of rsa-generated", a.text)
	}
	return found
}
