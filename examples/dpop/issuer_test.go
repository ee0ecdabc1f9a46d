package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	Error       string `json:"error"`
}

var publicClient = url.Values{"client_id": {"spa"}, "grant_type": {noLogin}}

func requestToken(t *testing.T, w *world, form url.Values, proofs ...string) (int, tokenAnswer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.login+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["Dpop"] = proofs
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var body tokenAnswer
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("the answer may be cached")
	}
	return answer.StatusCode, body
}

func TestToken(t *testing.T) {
	w := start(t, t.Output())
	key := popauthtest.NewProofKey(t, "")
	status, got := requestToken(t, w, publicClient, key.Proof("POST", w.login+"/token", ""))
	if status != http.StatusOK || got.TokenType != "DPoP" {
		t.Fatalf("got %d %+v", status, got)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got.AccessToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims, want popauthtest.Claims
	bound, _ := json.Marshal(key.Bound())
	if err := json.Unmarshal(bound, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	jkt := func(c popauthtest.Claims) any { return c["cnf"].(map[string]any)["jkt"] }
	if jkt(claims) != jkt(want) || claims["aud"] != w.api {
		t.Errorf("got %v, want a token for %s and the key %v", claims, w.api, jkt(want))
	}
}

func TestTokenRefused(t *testing.T) {
	w := start(t, t.Output())
	key, other := popauthtest.NewProofKey(t, ""), popauthtest.NewProofKey(t, "")
	endpoint := w.login + "/token"
	good := func() string { return key.Proof("POST", endpoint, "") }
	with := func(claims popauthtest.Claims) []string { return []string{key.Proof("POST", endpoint, "", claims)} }
	header := func(h popauthtest.Claims) []string { return []string{key.ProofWith(h, "POST", endpoint, "")} }
	jwk := func(change popauthtest.Claims) []string {
		changed := popauthtest.Claims{}
		for _, c := range []popauthtest.Claims{key.JWK(), change} {
			for name, value := range c {
				changed[name] = value
			}
		}
		return header(popauthtest.Claims{"jwk": changed})
	}
	used := good()
	if status, got := requestToken(t, w, publicClient, used); status != http.StatusOK {
		t.Fatalf("got %d %+v", status, got)
	}
	parts := strings.Split(good(), ".")
	now := time.Now().Unix()

	for _, c := range []struct {
		name   string
		proofs []string
	}{
		{"none", nil},
		{"two", []string{good(), good()}},
		{"empty", []string{""}},
		{"no JWT", []string{"x"}},
		{"used before", []string{used}},
		{"another method", []string{key.Proof("GET", endpoint, "")}},
		{"another path", []string{key.Proof("POST", w.login+"/other", "")}},
		{"another origin", []string{key.Proof("POST", w.api+"/token", "")}},
		{"too old", with(popauthtest.Claims{"iat": now - 75})},
		{"from the future", with(popauthtest.Claims{"iat": now + 30})},
		{"no iat", with(popauthtest.Claims{"iat": popauthtest.Omit})},
		{"iat of another type", with(popauthtest.Claims{"iat": "now"})},
		{"no jti", with(popauthtest.Claims{"jti": popauthtest.Omit})},
		{"long jti", with(popauthtest.Claims{"jti": strings.Repeat("x", 257)})},
		{"no htm", with(popauthtest.Claims{"htm": popauthtest.Omit})},
		{"no htu", with(popauthtest.Claims{"htu": popauthtest.Omit})},
		{"another typ", header(popauthtest.Claims{"typ": "JWT"})},
		{"crit", header(popauthtest.Claims{"crit": []string{"exp"}})},
		{"no jwk", header(popauthtest.Claims{"jwk": popauthtest.Omit})},
		{"jwk null", header(popauthtest.Claims{"jwk": nil})},
		{"another key's jwk", header(popauthtest.Claims{"jwk": other.JWK()})},
		{"a private key", jwk(popauthtest.Claims{"d": strings.Repeat("A", 43)})},
		{"a point that is not on the curve", jwk(popauthtest.Claims{"x": strings.Repeat("A", 43)})},
		{"a short coordinate", jwk(popauthtest.Claims{"x": "AA"})},
		{"another curve", jwk(popauthtest.Claims{"crv": "P-384"})},
		{"another algorithm", []string{popauthtest.NewProofKey(t, "EdDSA").Proof("POST", endpoint, "")}},
		{"alg none", header(popauthtest.Claims{"alg": "none"})},
		{"alg HS256", header(popauthtest.Claims{"alg": "HS256"})},
		{"no signature", []string{parts[0] + "." + parts[1] + "."}},
		{"another's signature", []string{parts[0] + "." + parts[1] + "." + other.Signature(parts[0]+"."+parts[1])}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, got := requestToken(t, w, publicClient, c.proofs...)
			if status != http.StatusBadRequest || got.Error != "invalid_dpop_proof" || got.AccessToken != "" {
				t.Errorf("got %d %+v, want 400 invalid_dpop_proof", status, got)
			}
		})
	}

	for _, c := range []struct {
		name, want string
		form       url.Values
	}{
		{"another client", "invalid_request", url.Values{"client_id": {"x"}, "grant_type": {noLogin}}},
		{"another grant", "unsupported_grant_type", url.Values{"client_id": {"spa"}, "grant_type": {"client_credentials"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, got := requestToken(t, w, c.form, good()); status != http.StatusBadRequest || got.Error != c.want ||
				got.AccessToken != "" {
				t.Errorf("got %d %+v, want 400 %s", status, got, c.want)
			}
		})
	}
}
