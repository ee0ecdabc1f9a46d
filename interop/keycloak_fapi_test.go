//go:build unix

package interop_test

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popclient"
)

const (
	profileTLS   = "fapi-2-security-profile"
	profileDPoP  = "fapi-2-dpop-security-profile"
	fapiRedirect = "https://127.0.0.1/callback"
)

// testKeycloakFAPI runs the code flow with pushed authorization requests under both of Keycloak's FAPI 2 profiles, to an API of
// Options.FAPI2.
func testKeycloakFAPI(t *testing.T, k *keycloak) {
	assertions := newKey(k)
	k.fapiClient(profileTLS, object{"clientAuthenticatorType": byCertificate}, map[string]string{
		"x509.subjectdn": "CN=by-dn,O=Orders", "x509.allow.regex.pattern.comparison": "false",
		"tls.client.certificate.bound.access.tokens": "true",
	})
	k.fapiClient(profileDPoP, object{"clientAuthenticatorType": "client-jwt"}, map[string]string{
		"use.jwks.string": "true", "jwks.string": keySetOf(k, assertions.Public()), "token.endpoint.auth.signing.alg": "ES256",
		"dpop.bound.access.tokens": "true",
	})
	k.clientPolicies(profileTLS, profileDPoP)
	defer k.clientPolicies()

	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL}.FAPI2())
	if err != nil {
		t.Fatal(err)
	}
	api := k.api(popauth.Options{
		Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys(), Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
		ClientClaim: "azp", Revoked: func(context.Context, *popauth.Token) (bool, error) { return false, nil },
	}.FAPI2(), popauth.Scope("email"))
	key, err := popclient.GenerateKeyFor(t.Context(), &http.Client{Transport: k.transport(nil)}, k.issuer)
	if err != nil {
		t.Fatal(err)
	}
	authenticated := &popclient.Authenticated{
		ClientID:       profileDPoP,
		Authentication: popclient.PrivateKeyJWT{Key: proofKey(k, assertions), KeyID: "k1", Audience: k.issuer},
		Endpoints:      []string{k.endpoint(shop, "token"), k.endpoint(shop, "ext/par/request")}, Base: k.transport(nil),
	}

	for _, id := range []string{profileTLS, profileDPoP} {
		if got := k.unpushed(id); got != http.StatusBadRequest {
			t.Errorf("%s: an authorization request that wasn't pushed: got %d, want 400", id, got)
		}
	}
	for _, test := range []struct {
		id, without string
		transport   http.RoundTripper
		want        string // of the error
	}{
		{profileTLS, "a certificate", k.transport(nil), "Authentication failed"},
		{profileDPoP, "a proof", authenticated, "DPoP proof is missing"},
		{profileDPoP, "authentication", &popclient.Proofs{Key: key, Base: k.transport(nil)}, "Authentication failed"},
	} {
		if _, err := k.pushed(t, test.id, test.transport); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, without %s: got %v, want %s", test.id, test.without, err, test.want)
		}
	}

	token, err := k.pushed(t, profileTLS, k.transport(k.byDN))
	if err != nil {
		t.Fatal(err)
	}
	thief := k.ca.Client("by-dn", ofOrders)
	api.want(t, k.byDN, token.AccessToken, "by certificate", "")
	api.want(t, thief, token.AccessToken, "by certificate, a namesake", popauth.ErrCertificateMismatch)
	api.want(t, nil, token.AccessToken, "by certificate, without it", popauth.ErrCertificateMissing)

	if token, err = k.pushed(t, profileDPoP, &popclient.Proofs{Key: key, Base: authenticated}); err != nil {
		t.Fatal(err)
	}
	api.want(t, k.byDN, token.AccessToken, "by key, as bearer", popauth.ErrBindingScheme)
	other, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key  *popclient.Key
		want outcome
	}{
		"the owner": {key, wanted("")},
		"a thief":   {other, outcome{http.StatusUnauthorized, false, popauth.ErrProofKey, "invalid_token"}},
	} {
		client := &http.Client{Transport: &popclient.DPoP{
			Key: test.key, Base: k.transport(nil), Origins: []string{api.URL}, Source: oauth2.StaticTokenSource(token),
		}}
		r, err := http.NewRequest(http.MethodGet, api.URL+confirmed, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := api.get(t, client, r); got != test.want {
			t.Errorf("by key, %s:\ngot  %+v\nwant %+v", name, got, test.want)
		}
	}

	// Clients of no profile get tokens of type JWT by RS256, and log in without PAR. So would these without their policies.
	for id, want := range map[string]popauth.Reason{"bound": popauth.ErrTokenType, "rfc9068": popauth.ErrTokenAlgorithm} {
		api.want(t, k.byDN, k.member(k.grant(shop, id, nil, clientCredentials()), "access_token"), id, want)
	}
	k.clientPolicies()
	for _, id := range []string{profileTLS, profileDPoP} {
		if got := k.unpushed(id); got != http.StatusOK {
			t.Errorf("%s, without its policy: got %d for an authorization request that wasn't pushed, want the login", id, got)
		}
	}
}

// fapiClient registers a client that is named after its profile, as the profile wants one.
func (k *keycloak) fapiClient(profile string, members object, attributes map[string]string) {
	k.Helper()
	attributes["fapi"] = profile // by which clientPolicies finds it
	attributes[tokenAlgorithm] = "ES256"
	attributes["access.token.header.type.rfc9068"] = "true"
	members["consentRequired"], members["fullScopeAllowed"] = true, false
	members["directAccessGrantsEnabled"], members["redirectUris"] = false, []string{fapiRedirect}
	client := keycloakClient{id: profile, by: "its members say", users: true, attributes: attributes, members: members}
	k.admin(http.MethodPost, "/clients", client.registration())
}

// clientPolicies puts the clients of fapiClient under their profiles, and nobody else under any.
func (k *keycloak) clientPolicies(profiles ...string) {
	k.Helper()
	policies := []object{}
	for _, profile := range profiles {
		attributes, err := json.Marshal([]object{{"key": "fapi", "value": profile}})
		if err != nil {
			k.Fatal(err)
		}
		policies = append(policies, object{
			"name": profile, "enabled": true, "profiles": []string{profile}, "conditions": []object{
				{"condition": "client-attributes", "configuration": object{"attributes": string(attributes)}},
			},
		})
	}
	k.admin(http.MethodPut, "/client-policies/policies", object{"policies": policies})
}

// pushed has the user log in by a client's pushed authorization request (RFC 9126), and exchanges the code for a token.
func (k *keycloak) pushed(t *testing.T, id string, transport http.RoundTripper) (*oauth2.Token, error) {
	t.Helper()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	verifier := oauth2.GenerateVerifier()
	resp, err := client.Do(k.request(http.MethodPost, k.endpoint(shop, "ext/par/request"), url.Values{
		"client_id": {id}, "response_type": {"code"}, "redirect_uri": {fapiRedirect}, "scope": {"openid"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		RequestURI  string `json:"request_uri"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.RequestURI == "" {
		return nil, &oauth2.RetrieveError{Response: resp, ErrorCode: answer.Error, ErrorDescription: answer.Description}
	}
	response := k.consent(t, id, answer.RequestURI)
	if got := response.Get("iss"); got != k.issuer {
		t.Errorf("%s: got a response of %q, want %q (RFC 9207)", id, got, k.issuer)
	}
	config := oauth2.Config{
		ClientID: id, RedirectURL: fapiRedirect,
		Endpoint: oauth2.Endpoint{TokenURL: k.endpoint(shop, "token"), AuthStyle: oauth2.AuthStyleInParams},
	}
	return config.Exchange(context.WithValue(t.Context(), oauth2.HTTPClient, client), response.Get("code"), oauth2.VerifierOption(verifier))
}

// consent is the user, who logs in and agrees. It returns what the browser brings to the client.
func (k *keycloak) consent(t *testing.T, id, requestURI string) url.Values {
	t.Helper()
	browser := k.browser()
	resp, err := browser.Get(k.endpoint(shop, "auth") + "?" + url.Values{"client_id": {id}, "request_uri": {requestURI}}.Encode())
	for range 10 { // pages and redirects
		if err != nil {
			t.Fatal(err)
		}
		page, err2 := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err2 != nil {
			t.Fatal(err2)
		}
		location, err2 := resp.Location()
		if err2 == nil && strings.HasPrefix(location.String(), fapiRedirect) {
			return location.Query()
		}
		if err2 == nil {
			resp, err = browser.Get(location.String())
			continue
		}
		form := loginForm.FindSubmatch(page)
		if form == nil {
			t.Fatalf("%s: got %s without a form or a redirect", id, resp.Status)
		}
		action, err2 := resp.Request.URL.Parse(html.UnescapeString(string(form[1])))
		if err2 != nil {
			t.Fatal(err2)
		}
		resp, err = browser.PostForm(action.String(),
			url.Values{"username": {keycloakUser}, "password": {clientSecret}, "accept": {"Yes"}})
	}
	t.Fatalf("%s: no end of pages", id)
	return nil
}

// unpushed is the status that a browser gets for an authorization request that was not pushed.
func (k *keycloak) unpushed(id string) int {
	k.Helper()
	resp, err := k.browser().Get(k.endpoint(shop, "auth") + "?" + url.Values{
		"client_id": {id}, "response_type": {"code"}, "redirect_uri": {fapiRedirect}, "scope": {"openid"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(oauth2.GenerateVerifier())}, "code_challenge_method": {"S256"},
	}.Encode())
	if err != nil {
		k.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
