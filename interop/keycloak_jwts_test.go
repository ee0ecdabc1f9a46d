//go:build unix

package interop_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
)

// otherJWT is a JWT that the realm issues for something else than access to an API.
type otherJWT struct {
	name string
	get  func(*keycloak) string
}

var otherJWTs = []otherJWT{
	// JARM: anybody gets one, without logging in.
	{"authorization response, an error", func(k *keycloak) string {
		return k.authorize(k.browser(), "web", url.Values{"response_mode": {"jwt"}, "prompt": {"none"}, "state": {"s"}}).Get("response")
	}},
	{"authorization response, an error, with the issuer", func(k *keycloak) string {
		return k.authorize(k.browser(), "web-issuer", url.Values{"response_mode": {"jwt"}, "prompt": {"none"}}).Get("response")
	}},
	{"authorization response, a code", func(k *keycloak) string {
		return k.authorize(k.browser(), "web", url.Values{"response_mode": {"jwt"}, "state": {"s"}}).Get("response")
	}},
	{"ID token", func(k *keycloak) string {
		return k.member(k.grant(shop, "web", nil, password("openid")), "id_token")
	}},
	{"refresh token", func(k *keycloak) string {
		return k.member(k.grant(shop, "web", nil, password("openid")), "refresh_token")
	}},
	{"offline token", func(k *keycloak) string {
		return k.member(k.grant(shop, "web", nil, password("openid offline_access")), "refresh_token")
	}},
	{"userinfo", (*keycloak).userinfo},
	{"logout token", (*keycloak).logoutToken},
	{"permission ticket", (*keycloak).permissionTicket},
	{"session cookie", (*keycloak).sessionCookie},
	{"initial access token", func(k *keycloak) string {
		return k.member(k.admin(http.MethodPost, "/clients-initial-access", object{"count": 1, "expiration": 300}), "token")
	}},
	{"registration access token", func(k *keycloak) string {
		return k.member(k.admin(http.MethodPost, "/clients/"+k.internalID("web")+"/registration-access-token", nil),
			"registrationAccessToken")
	}},
}

// None of them is an access token, at an API whose audience fits all of them.
func testKeycloakOtherJWTs(t *testing.T, k *keycloak) {
	audiences := []string{"web", "web-issuer", "api", k.issuer}
	apis := map[string]*api{
		"JWT":           k.api(popauth.Options{Issuer: k.issuer, Audience: audiences, Keys: k.keys()}),
		"introspection": k.api(popauth.Options{Verifier: k.asked("web", "web")}),
	}
	// Reasons that say nothing of what it is.
	elsewhere := []popauth.Reason{popauth.ErrTokenIssuer, popauth.ErrTokenAudience, popauth.ErrTokenExpired, popauth.ErrTokenKey}
	for _, test := range otherJWTs {
		token := test.get(k)
		if strings.Count(token, ".") != 2 {
			t.Errorf("%s: got %q, want a JWT", test.name, token)
			continue
		}
		for form, a := range apis {
			r, err := http.NewRequest(http.MethodGet, a.URL+authenticated, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			got := a.get(t, a.caller(k.byDN), r)
			if got.ran || got.status != http.StatusUnauthorized || form == "JWT" && slices.Contains(elsewhere, got.reason) {
				t.Errorf("%s, %s: got %+v, want it refused for what it is", form, test.name, got)
			}
			t.Logf("%-13s %-50s %d %s", form, test.name, got.status, got.reason)
		}
	}
}

// A token that Keycloak has made of a stolen one, for whoever asked (UMA), is bound to nothing. Confirm refuses it.
func testKeycloakStolen(t *testing.T, k *keycloak) {
	jwts := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{"api"}, Keys: k.keys()}, popauth.Scope("email"))
	asking := k.api(popauth.Options{Verifier: k.asked("api", "api")}, popauth.Scope("email"))
	stolen := k.member(k.grant(shop, "web", nil, password("openid")), "access_token")
	r := k.request(http.MethodPost, k.endpoint(shop, "token"), url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:uma-ticket"}, "audience": {"api"},
	})
	r.Header.Set("Authorization", "Bearer "+stolen)
	made := k.member(k.send(k.transport(nil), r), "access_token")
	for form, a := range map[string]*api{"JWT": jwts, "introspection": asking} {
		a.want(t, nil, stolen, form+", stolen", popauth.ErrCertificateMissing)
		a.want(t, nil, made, form+", made of the stolen one", popauth.ErrBindingMissing)
	}
}

// A token ends with its exp, for the API that asks at once, for the one that verifies JWTs after a leeway.
func testKeycloakExpired(t *testing.T, k *keycloak) {
	policy := popauth.Scope("email")
	later := func() time.Time { return time.Now().Add(time.Minute) }
	jwts := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, policy)
	expired := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys(), Now: later}, policy)
	asking := k.api(popauth.Options{Verifier: k.asked("api", structured)}, policy)
	token := k.member(k.grant(shop, "short", nil, clientCredentials()), "access_token")
	jwts.want(t, k.byDN, token, "JWT", "")
	expired.want(t, k.byDN, token, "JWT, a minute later", popauth.ErrTokenExpired)
	time.Sleep(2 * time.Second) // Keycloak has the real clock, and seconds
	asking.want(t, k.byDN, token, "introspection", popauth.ErrTokenInvalid)
}

// userinfo is an answer about the user, signed since the client is registered so.
func (k *keycloak) userinfo() string {
	k.Helper()
	token := k.member(k.grant(shop, "web", nil, password("openid")), "access_token")
	return k.send(k.transport(k.byDN), k.request(http.MethodPost, k.endpoint(shop, "userinfo"), url.Values{"access_token": {token}})).text
}

// logoutToken is what Keycloak sends to a client when its user logs out.
func (k *keycloak) logoutToken() string {
	k.Helper()
	got := make(chan string, 1)
	client := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.FormValue("logout_token") }))
	defer client.Close()
	k.admin(http.MethodPut, "/clients/"+k.internalID("web-issuer"), object{
		"clientId": "web-issuer", "attributes": object{"backchannel.logout.url": client.URL},
	})
	refresh := k.member(k.grant(shop, "web-issuer", nil, password("openid")), "refresh_token")
	k.send(k.transport(nil), k.request(http.MethodPost, k.endpoint(shop, "logout"), url.Values{
		"client_id": {"web-issuer"}, "client_secret": {clientSecret}, "refresh_token": {refresh},
	}))
	select {
	case token := <-got:
		return token
	case <-time.After(10 * time.Second):
		k.Fatal("no logout token")
		return ""
	}
}

// permissionTicket is what a resource server gives to a client that has to ask for a permission (UMA).
func (k *keycloak) permissionTicket() string {
	k.Helper()
	r := k.request(http.MethodPost, k.base+"/realms/"+shop+"/authz/protection/permission", []object{{"resource_id": "orders"}})
	r.Header.Set("Authorization", "Bearer "+k.member(k.grant(shop, "api", nil, clientCredentials()), "access_token"))
	return k.member(k.send(k.transport(nil), r), "ticket")
}

// sessionCookie is what the browser of a user who has logged in keeps.
func (k *keycloak) sessionCookie() string {
	k.Helper()
	browser := k.browser()
	k.authorize(browser, "web", url.Values{})
	realm, err := url.Parse(k.issuer + "/")
	if err != nil {
		k.Fatal(err)
	}
	for _, c := range browser.Jar.Cookies(realm) {
		if c.Name == "KEYCLOAK_IDENTITY" {
			return c.Value
		}
	}
	k.Fatalf("got the cookies %v, want KEYCLOAK_IDENTITY", browser.Jar.Cookies(realm))
	return ""
}

// internalID is what the admin API calls a client.
func (k *keycloak) internalID(client string) string {
	k.Helper()
	var found []struct{ ID string }
	a := k.admin(http.MethodGet, "/clients?clientId="+client, nil)
	if err := json.Unmarshal([]byte(a.text), &found); err != nil || len(found) != 1 {
		k.Fatalf("client %s: got %s, want one", client, a.text)
	}
	return found[0].ID
}
