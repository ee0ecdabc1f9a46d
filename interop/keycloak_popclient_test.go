//go:build unix

package interop_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popclient"
)

// testKeycloakPopclient has popclient authenticate by secret and by private_key_jwt, with both bindings, and by the flows of
// golang.org/x/oauth2.
func testKeycloakPopclient(t *testing.T, k *keycloak) {
	assertions := newKey(k)
	jwks := keySetOf(k, assertions.Public())
	for id, bound := range map[string]string{"jwt-tls": "tls.client.certificate.bound.access.tokens",
		"jwt-dpop": "dpop.bound.access.tokens"} {
		client := keycloakClient{id: id, by: "client-jwt", users: true, attributes: map[string]string{
			bound: "true", "use.jwks.string": "true", "jwks.string": jwks, "token.endpoint.auth.signing.alg": "ES256",
		}}
		o := client.registration()
		o["clientAuthenticatorType"] = "client-jwt"
		k.admin(http.MethodPost, "/clients", o)
	}
	api := k.api(popauth.Options{Issuer: k.issuer, Audience: []string{structured}, Keys: k.keys()}, popauth.Scope("email"))
	key, err := popclient.GenerateKeyFor(t.Context(), &http.Client{Transport: k.transport(nil)}, k.issuer)
	if err != nil {
		t.Fatal(err)
	}
	jwts := popclient.PrivateKeyJWT{Key: proofKey(k, assertions), KeyID: "k1"}
	t.Run("ClientCredentials", func(t *testing.T) {
		for _, test := range []struct {
			id             string
			authentication popclient.ClientAuthentication
			key            *popclient.Key
			want           string // of the error
		}{
			{id: "bound", authentication: popclient.ClientSecretBasic{Secret: clientSecret}},
			{id: "bound", authentication: popclient.ClientSecretPost{Secret: clientSecret}},
			{id: "dpop", authentication: popclient.ClientSecretBasic{Secret: clientSecret}, key: key},
			{id: "jwt-tls", authentication: jwts},
			{id: "jwt-dpop", authentication: jwts, key: key},
			{id: "bound", authentication: popclient.ClientSecretBasic{Secret: "wrong"}, want: "unauthorized_client"},
			{id: "jwt-tls", authentication: popclient.PrivateKeyJWT{Key: proofKey(k, newKey(k)), KeyID: "k1"}, want: "invalid_client"},
			{id: "jwt-tls", authentication: popclient.PrivateKeyJWT{Key: jwts.Key, KeyID: "k1", Audience: k.base}, want: "invalid_client"},
			{id: "tls", authentication: nil},
		} {
			o := popclient.MutualTLSOptions{
				ClientID: test.id, Certificate: popclient.StaticCertificate(k.byDN.Certificate), Key: test.key,
				Authentication: test.authentication,
			}
			client, before := k.popclient(o), api.spy.Ran()
			for range 2 { // the second token needs an assertion of its own
				resp, err := client.Get(api.URL + confirmed)
				switch {
				case err != nil && (test.want == "" || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s by %T: %v, want %q", test.id, test.authentication, err, test.want)
				case err == nil && (test.want != "" || resp.StatusCode != http.StatusOK):
					t.Errorf("%s by %T: got %s, want %q", test.id, test.authentication, resp.Status, test.want)
				case (api.spy.Ran() > before) != (test.want == ""):
					t.Errorf("%s by %T: the handler ran: %t", test.id, test.authentication, test.want != "")
				}
				if err == nil {
					resp.Body.Close()
				}
				client = k.popclient(o)
			}
		}
	})
	t.Run("Code", func(t *testing.T) {
		defer func(outer testing.TB) { k.TB = outer }(k.TB)
		k.TB = t
		at := k.endpoint(shop, "token")
		jwts := jwts
		jwts.Audience = k.issuer
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{
			Transport: &popclient.Proofs{Key: key, Base: &popclient.Authenticated{
				ClientID: "jwt-dpop", Authentication: jwts, Endpoints: []string{at}, Base: k.transport(nil),
			}},
			Timeout: 10 * time.Second,
		})
		config := oauth2.Config{
			ClientID: "jwt-dpop", RedirectURL: keycloakRedirect,
			Endpoint: oauth2.Endpoint{TokenURL: at, AuthStyle: oauth2.AuthStyleInParams},
		}
		verifier := oauth2.GenerateVerifier()
		response := k.authorize(k.browser(), "jwt-dpop", url.Values{
			"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
			"dpop_jkt": {key.Thumbprint()},
		})
		token, err := config.Exchange(ctx, response.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		first := token.AccessToken
		token.Expiry = time.Now() // so that it is refreshed
		source := config.TokenSource(ctx, token)
		client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: source, Base: k.transport(nil), Origins: []string{api.URL}}}
		resp, err := client.Get(api.URL + confirmed)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		fresh, err := source.Token()
		if err != nil || resp.StatusCode != http.StatusOK || fresh.AccessToken == first || fresh.Type() != "DPoP" {
			t.Errorf("got %s, and %q, %v, want a fresh token that passes", resp.Status, fresh.Type(), err)
		}
		api.want(t, nil, fresh.AccessToken, "the token without its key", popauth.ErrBindingScheme)
	})
	t.Run("Resources", func(t *testing.T) {
		text := &log{}
		client := k.popclient(popclient.MutualTLSOptions{
			ClientID: "bound", Certificate: popclient.StaticCertificate(k.byDN.Certificate),
			Logger:         slog.New(slog.NewTextHandler(text, nil)),
			Authentication: popclient.ClientSecretPost{Secret: clientSecret}, Resources: []string{"https://nowhere.example.com"},
		})
		resp, err := client.Get(api.URL + confirmed)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for end := time.Now().Add(5 * time.Second); !strings.Contains(text.String(),
			"Resources without effect"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("got the log %q, want what Keycloak has ignored", text.String())
			}
		}
	})
}

// popclient is one of popclient's, which leaves the scopes to Keycloak.
func (k *keycloak) popclient(o popclient.MutualTLSOptions) *http.Client {
	k.Helper()
	o.Issuer, o.RootCAs = k.issuer, k.ca.Pool()
	m, err := popclient.NewMutualTLS(o)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(m.CloseIdleConnections)
	return &http.Client{Transport: m}
}

// log is what a Logger was told.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// keySetOf is what a client is registered with.
func keySetOf(k *keycloak, public crypto.PublicKey) string {
	k.Helper()
	onCurve, ok := public.(*ecdsa.PublicKey)
	if !ok {
		k.Fatalf("got a key of type %T", public)
	}
	point, err := onCurve.Bytes()
	if err != nil {
		k.Fatal(err)
	}
	coordinate := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	set, err := json.Marshal(object{"keys": []object{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1", "x": coordinate(point[1:33]), "y": coordinate(point[33:]),
	}}})
	if err != nil {
		k.Fatal(err)
	}
	return string(set)
}
