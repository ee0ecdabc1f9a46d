//go:build unix

package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

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

// A new key that is in the set before it signs costs nobody anything: no request is refused, and none waits for a fetch.
func testKeycloakRotationPassive(t *testing.T, k *keycloak) {
	fetches := &fetches{base: k.transport(nil)}
	keys := k.keys(func(o *popauth.RemoteKeysOptions) { o.Client = &http.Client{Transport: fetches} })
	a := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: keys}, popauth.Scope("email"))
	token := func() string { return k.member(k.grant(shop, "plain", nil, clientCredentials()), "access_token") }
	preload := func() { // as Refresh does within its hour
		t.Helper()
		if err := keys.Preload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := token()
	preload()
	old := a.stream(t, perSecond, func(int) string { return before })
	former := k.signingProviders()

	k.admin(http.MethodPost, "/components", object{
		"name": "passive", "providerId": "rsa-generated", "providerType": keyProvider,
		"config": object{"priority": []string{"1"}, "algorithm": []string{"RS256"}},
	})
	if got, want := kidOf(t, token()), kidOf(t, before); got != want {
		t.Errorf("a provider of a lower priority: got a token of the key %s, want %s", got, want)
	}
	preload()

	loaded := fetches.n.Load()
	var added keycloakComponent
	for _, c := range k.signingProviders() {
		if c.Name == "passive" {
			added = c
		}
	}
	added.Config["priority"] = []string{"1000"}
	k.admin(http.MethodPut, "/components/"+added.ID, added)
	next, raised := token(), time.Now()
	if kidOf(t, next) == kidOf(t, before) {
		t.Errorf("a provider that was raised: got a token of the key %s, want another", kidOf(t, next))
	}
	fresh := a.stream(t, perSecond, func(int) string { return next })
	time.Sleep(2 * time.Second)
	fresh.end()
	old.end()
	t.Logf("new key: %s", fresh.summary(raised))
	t.Logf("old key: %s", old.summary(raised))
	for name, s := range map[string]*stream{"new": fresh, "old": old} {
		if refused, _ := s.refused(raised); refused > 0 || s.accepted() == 0 {
			t.Errorf("%s key: got %s, want none refused", name, s.summary(raised))
		}
	}
	if n := fetches.n.Load() - loaded; n > 0 {
		t.Errorf("got %d fetches after the provider was raised, want none", n)
	}

	// Tokens of the old key last as long as Keycloak publishes it: active no more, and then enabled no more.
	state := func(name string) {
		for _, c := range former {
			c.Config[name] = []string{"false"}
			k.admin(http.MethodPut, "/components/"+c.ID, c)
		}
		preload()
	}
	check := func(token, what string, want outcome) {
		t.Helper()
		if got := a.at(t, authenticated, nil, token); got != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
		}
	}
	state("active")
	check(before, "old key, passive", wanted(""))
	state("enabled")
	check(before, "old key, disabled", wanted(popauth.ErrTokenKey))
	check(next, "new key", wanted(""))
}

// fetches counts them.
type fetches struct {
	base http.RoundTripper
	n    atomic.Int32
}

func (f *fetches) RoundTrip(r *http.Request) (*http.Response, error) {
	f.n.Add(1)
	return f.base.RoundTrip(r)
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
