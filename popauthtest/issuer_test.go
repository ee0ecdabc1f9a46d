package popauthtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// keysOf reads the issuer's JWKS over its listener.
func keysOf(t *testing.T, issuer *popauthtest.Issuer) keyfunc.Keyfunc {
	t.Helper()
	keys, err := keyfunc.NewDefaultOverrideCtx(t.Context(), []string{issuer.JWKSURL()}, keyfunc.Override{
		Client:                    issuer.Client(),
		NoErrorReturnFirstHTTPReq: new(bool),
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestDiscovery(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	issuer.Metadata = popauthtest.Claims{
		"token_endpoint":        popauthtest.Omit,
		"mtls_endpoint_aliases": map[string]string{"token_endpoint": "https://mtls.example.com/token"},
	}
	if strings.HasSuffix(issuer.URL, "/") || !strings.HasPrefix(issuer.URL, "https://") {
		t.Errorf("URL: got %q, want https without trailing slash", issuer.URL)
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		status, body := get(t, issuer.Client(), issuer.URL+path)
		equal(t, path, status, http.StatusOK)
		var document map[string]any
		if err := json.Unmarshal([]byte(body), &document); err != nil {
			t.Fatal(err)
		}
		equal(t, "issuer", document["issuer"], any(issuer.URL))
		equal(t, "jwks_uri", document["jwks_uri"], any(issuer.URL+"/jwks"))
		equal(t, "bound tokens", document["tls_client_certificate_bound_access_tokens"], any(true))
		if endpoint, ok := document["token_endpoint"]; ok {
			t.Errorf("token_endpoint: got %v, want none", endpoint)
		}
		if document["mtls_endpoint_aliases"] == nil {
			t.Error("mtls_endpoint_aliases: got none")
		}
	}
	equal(t, "fetches", issuer.Fetches(), 0)
}

func TestJWKS(t *testing.T) {
	issuer := popauthtest.NewIssuer(t, "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
	_, body := get(t, issuer.Client(), issuer.JWKSURL())
	equal(t, "document", body, string(issuer.JWKS()))
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	members := map[string]string{"EC": "alg crv kid kty use x y", "OKP": "alg crv kid kty use x", "RSA": "alg e kid kty n use"}
	kids := map[any]bool{}
	for _, key := range set.Keys {
		var names []string
		for name := range key {
			names = append(names, name)
		}
		equal(t, "members", sorted(names), members[key["kty"].(string)])
		equal(t, "use", key["use"], any("sig"))
		kids[key["kid"]] = true
	}
	equal(t, "keys", len(set.Keys), 7)
	equal(t, "kids", len(kids), 7)
}

func TestRotate(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	before, old := issuer.Token(), keysOf(t, issuer)
	issuer.Rotate()
	after, fresh := issuer.Token(), keysOf(t, issuer)
	equal(t, "fetches", issuer.Fetches(), 2)

	for name, test := range map[string]struct {
		token string
		keys  keyfunc.Keyfunc
		want  bool
	}{
		"old token, old keys": {before, old, true},
		"new token, new keys": {after, fresh, true},
		"old token, new keys": {before, fresh, false},
	} {
		_, err := jwt.Parse(test.token, test.keys.Keyfunc)
		equal(t, name, err == nil, test.want)
	}
	if kid := part(t, before, 0)["kid"]; strings.Contains(string(issuer.JWKS()), kid.(string)) {
		t.Errorf("JWKS: got the old kid %s", kid)
	}
}

func TestKeyJoinsWhenUsed(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	token := issuer.TokenWith(popauthtest.Claims{"alg": "ES512"})
	if _, err := jwt.Parse(token, keysOf(t, issuer).Keyfunc); err != nil {
		t.Error(err)
	}
	issuer.Rotate()
	token = issuer.TokenWith(popauthtest.Claims{"alg": "ES512"})
	if _, err := jwt.Parse(token, keysOf(t, issuer).Keyfunc); err != nil {
		t.Error(err)
	}
}

func TestIssuersShareNothing(t *testing.T) {
	one, other := popauthtest.NewIssuer(t, "RS256"), popauthtest.NewIssuer(t, "RS256")
	kid := part(t, other.Token(), 0)["kid"]
	token := one.TokenWith(popauthtest.Claims{"kid": kid})
	if _, err := jwt.Parse(token, keysOf(t, other).Keyfunc); err == nil {
		t.Error("a token of one issuer verifies with the keys of another")
	}
	if response, err := one.Client().Get(other.JWKSURL()); err == nil {
		response.Body.Close()
		t.Error("one issuer's client trusts another's certificate")
	}
}

func TestHandle(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	status := func(url string) int {
		t.Helper()
		status, _ := get(t, issuer.Client(), url)
		return status
	}
	outage := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })

	equal(t, "no route", status(issuer.URL+"/token"), http.StatusNotFound)
	issuer.Handle("POST /token", outage)
	equal(t, "other method", status(issuer.URL+"/token"), http.StatusMethodNotAllowed)
	issuer.Handle("/", http.NotFoundHandler())
	equal(t, "beside a catch-all", status(issuer.JWKSURL()), http.StatusOK)
	issuer.Handle("/jwks", outage)
	equal(t, "outage", status(issuer.JWKSURL()), http.StatusBadGateway)
	issuer.Handle("/jwks", http.NotFoundHandler())
	equal(t, "replaced", status(issuer.JWKSURL()), http.StatusNotFound)
	issuer.Handle("POST /token", nil)
	issuer.Handle("/", nil)
	equal(t, "route gone", status(issuer.URL+"/token"), http.StatusNotFound)
	issuer.Handle("/jwks", nil)
	equal(t, "over", status(issuer.JWKSURL()), http.StatusOK)
	equal(t, "fetches", issuer.Fetches(), 4)
}

func TestHandleKeepsTheRestAfterPanic(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Handle: got no panic for a malformed pattern")
			}
		}()
		issuer.Handle("{", http.NotFoundHandler())
	}()
	issuer.Handle("/token", http.NotFoundHandler())
	status, _ := get(t, issuer.Client(), issuer.JWKSURL())
	equal(t, "JWKS", status, http.StatusOK)
}

func TestIssuerConcurrently(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	clock := popauthtest.NewClock(time.Now())
	issuer.Now = clock.Now
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			issuer.Token()
			issuer.Rotate()
			issuer.TokenWith(popauthtest.Claims{"alg": "ES512"})
			issuer.Handle("/token", http.NotFoundHandler())
			clock.Advance(time.Second)
			if response, err := issuer.Client().Get(issuer.JWKSURL()); err == nil {
				response.Body.Close()
			}
		})
	}
	wg.Wait()
	equal(t, "fetches", issuer.Fetches(), 8)
}

func TestNewIssuerUnknownAlgorithm(t *testing.T) {
	for _, alg := range []string{"HS256", "none", "", "es256"} {
		message := failure(t, func(tb popauthtest.TB) { popauthtest.NewIssuer(tb, "ES256", alg) })
		if !strings.Contains(message, "no key for alg") {
			t.Errorf("%q: got %q", alg, message)
		}
	}
}
