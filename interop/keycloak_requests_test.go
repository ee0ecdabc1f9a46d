//go:build unix

package interop_test

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth/popclient"
)

// keycloakAnswer is what an endpoint answers: JSON, or a text.
type keycloakAnswer struct {
	status  int
	text    string
	members object
}

// member is a string that has to be among the answer.
func (k *keycloak) member(a keycloakAnswer, name string) string {
	k.Helper()
	s, ok := a.members[name].(string)
	if !ok {
		k.Fatalf("got %d %s, want a member %s", a.status, a.text, name)
	}
	return s
}

// grant asks a realm's token endpoint, as the owner of the certificate does, and of a key if it is given one.
func (k *keycloak) grant(realm, id string, key *popclient.Key, form url.Values) keycloakAnswer {
	k.Helper()
	var transport http.RoundTripper = k.transport(k.byDN)
	if key != nil {
		transport = &popclient.Proofs{Key: key, Base: transport}
	}
	form.Set("client_id", id)
	registered := slices.IndexFunc(keycloakClients, func(c keycloakClient) bool { return c.id == id })
	if registered >= 0 && keycloakClients[registered].by == "" {
		form.Set("client_secret", clientSecret)
	}
	return k.send(transport, k.request(http.MethodPost, k.endpoint(realm, "token"), form))
}

func clientCredentials() url.Values { return url.Values{"grant_type": {"client_credentials"}} }

func password(scope string) url.Values {
	return url.Values{"grant_type": {"password"}, "username": {keycloakUser}, "password": {clientSecret}, "scope": {scope}}
}

// endpoint is one of a realm's, such as token.
func (k *keycloak) endpoint(realm, name string) string {
	return k.base + "/realms/" + realm + "/protocol/openid-connect/" + name
}

// request has a form as its body, or anything else as JSON.
func (k *keycloak) request(method, target string, body any) *http.Request {
	k.Helper()
	form, ok := body.(url.Values)
	kind, text := "application/x-www-form-urlencoded", []byte(form.Encode())
	if !ok {
		var err error
		if text, err = json.Marshal(body); err != nil {
			k.Fatal(err)
		}
		kind = "application/json"
	}
	r, err := http.NewRequest(method, target, bytes.NewReader(text))
	if err != nil {
		k.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	return r
}

func (k *keycloak) send(transport http.RoundTripper, r *http.Request) keycloakAnswer {
	k.Helper()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		k.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		k.Fatal(err)
	}
	a := keycloakAnswer{status: resp.StatusCode, text: string(text)}
	_ = json.Unmarshal(text, &a.members) // whoever wants a member finds that there is none
	return a
}

// admin changes something of the realm shop.
func (k *keycloak) admin(method, path string, body any) keycloakAnswer {
	k.Helper()
	login := password("openid")
	login.Set("username", "admin")
	r := k.request(method, k.base+"/admin/realms/"+shop+path, body)
	r.Header.Set("Authorization", "Bearer "+k.member(k.grant("master", "admin-cli", nil, login), "access_token"))
	a := k.send(k.transport(nil), r)
	if a.status >= http.StatusMultipleChoices {
		k.Fatalf("%s %s: %d %s", method, path, a.status, a.text)
	}
	return a
}

// browser is a user's, which follows no redirect.
func (k *keycloak) browser() *http.Client {
	k.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.Fatal(err)
	}
	return &http.Client{
		Transport: k.transport(nil), Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// authorize has a browser make an authorization request, with a login if there has to be one, and returns the
// parameters of the response.
func (k *keycloak) authorize(browser *http.Client, id string, request url.Values) url.Values {
	k.Helper()
	request.Set("client_id", id)
	request.Set("response_type", "code")
	request.Set("redirect_uri", keycloakRedirect)
	request.Set("scope", "openid")
	resp, err := browser.Get(k.endpoint(shop, "auth") + "?" + request.Encode())
	if err != nil {
		k.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		k.Fatal(err)
	}
	if form := loginForm.FindSubmatch(page); form != nil {
		resp, err = browser.PostForm(html.UnescapeString(string(form[1])),
			url.Values{"username": {keycloakUser}, "password": {clientSecret}})
		if err != nil {
			k.Fatal(err)
		}
		resp.Body.Close()
	}
	location := resp.Header.Get("Location")
	_, query, found := strings.Cut(location, "?")
	if !found {
		_, query, _ = strings.Cut(location, "#")
	}
	response, err := url.ParseQuery(query)
	if err != nil || len(response) == 0 {
		k.Fatalf("authorization response of %s: got %s to %q", id, resp.Status, location)
	}
	return response
}

var loginForm = regexp.MustCompile(`<form[^>]*action="([^"]+)"`)
