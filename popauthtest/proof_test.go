package popauthtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestProofDefaults(t *testing.T) {
	clock := popauthtest.NewClock(time.Unix(1_800_000_000, 0))
	key := popauthtest.NewProofKey(t, "")
	key.Now = clock.Now
	proof := key.Proof("GET", "https://api.example.com/orders?a=1#b", "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
	header, claims := part(t, proof, 0), part(t, proof, 1)
	equal(t, "header", members(header), "alg jwk typ")
	equal(t, "alg", header["alg"], any("ES256"))
	equal(t, "typ", header["typ"], any("dpop+jwt"))
	equal(t, "jwk", members(header["jwk"].(map[string]any)), "crv kty x y")
	equal(t, "claims", members(claims), "ath htm htu iat jti")
	equal(t, "htm", claims["htm"], any("GET"))
	equal(t, "htu", claims["htu"], any("https://api.example.com/orders"))
	equal(t, "iat", claims["iat"], any(1_800_000_000.0))
	equal(t, "ath", claims["ath"], any("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo")) // RFC 9449, section 4.1
	next := part(t, key.Proof("POST", "https://id.example.com/token", ""), 1)
	equal(t, "claims without a token", members(next), "htm htu iat jti")
	if next["jti"] == claims["jti"] {
		t.Errorf("jti: got %v twice", next["jti"])
	}
}

func TestProofOverrides(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	proof := key.ProofWith(popauthtest.Claims{"typ": popauthtest.Omit, "alg": "none"}, "GET", "https://api.example.com", "t",
		popauthtest.Claims{"htm": "PUT", "ath": popauthtest.Omit}, popauthtest.Claims{"nonce": "n", "htm": "POST"})
	equal(t, "header", members(part(t, proof, 0)), "alg jwk")
	equal(t, "claims", members(part(t, proof, 1)), "htm htu iat jti nonce")
	equal(t, "htm", part(t, proof, 1)["htm"], any("POST"))
	verify(t, jwt.SigningMethodES256, proof, key.Public())
	proof = key.Sign([]byte("\xff"), []byte("{"))
	if !strings.HasPrefix(proof, "_w.ew.") {
		t.Errorf("got %s", proof)
	}
	verify(t, jwt.SigningMethodES256, proof, key.Public())
}

// Every algorithm makes proofs that a Guard takes, for a token that is bound to the key.
func TestProofAlgorithms(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	algorithms := []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "PS512"}
	o := issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL, Algorithms: algorithms})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			key := popauthtest.NewProofKey(t, alg)
			token := issuer.Token(key.Bound())
			p, err := guard.Check(key.Request("GET", "/orders/a%20b?c=d", token))
			if err != nil || p.Bindings[0].Value != key.Thumbprint() {
				t.Errorf("got %v, %v", p, err)
			}
			text, err := json.Marshal(key.JWK())
			if err != nil || strings.Contains(string(text), `"d":`) {
				t.Errorf("JWK: %s, %v", text, err)
			}
		})
	}
}

func TestProofRequest(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	for target, htu := range map[string]string{
		"/orders": "https://example.com/orders", "https://api.example.com/a%2Fb?c": "https://api.example.com/a%2Fb",
		"http://api.example.com/": "https://api.example.com/",
	} {
		r := key.Request("PUT", target, "t", popauthtest.Claims{"nonce": "n"})
		claims := part(t, r.Header.Get("DPoP"), 1)
		equal(t, "htu", claims["htu"], any(htu))
		equal(t, "htm", claims["htm"], any("PUT"))
		equal(t, "nonce", claims["nonce"], any("n"))
		equal(t, "Authorization", r.Header.Get("Authorization"), "DPoP t")
		if r.TLS == nil || !r.TLS.HandshakeComplete {
			t.Error("no TLS")
		}
	}
}

func TestProofOverTheWire(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	o := issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := popauthtest.NewServer(t, guard.Confirm(&popauthtest.Spy{}))
	key := popauthtest.NewProofKey(t, "EdDSA")
	token := issuer.Token(key.Bound())
	r, err := http.NewRequest("GET", server.URL+"/orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof(r.Method, r.URL.String(), token))
	resp, err := (*popauthtest.Client)(nil).HTTP(server).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	equal(t, "status", resp.StatusCode, http.StatusOK)
}

func TestProofKeyUnknownAlgorithm(t *testing.T) {
	for _, alg := range []string{"HS256", "none", "es256"} {
		message := failure(t, func(tb popauthtest.TB) { popauthtest.NewProofKey(tb, alg) })
		if !strings.Contains(message, "no key for alg") {
			t.Errorf("%q: got %q", alg, message)
		}
	}
}
