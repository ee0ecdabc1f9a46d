package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// explain ends with the code by which a Guard would refuse, for whatever is wrong, offline and with the issuer's own keys.
func TestExplainFaults(t *testing.T) {
	l := newLab(t)
	const orders = "https://api.example.com/orders"
	now := time.Now().Unix()
	dpopToken := l.issuer.Token(l.key.Bound())
	other := popauthtest.NewProofKey(t, "ES256")
	proof := func(key *popauthtest.ProofKey, token string, claims ...popauthtest.Claims) []string {
		return []string{"--url", orders, "--proof", key.Request("GET", orders, token, claims...).Header.Get("DPoP")}
	}
	with := func(claims popauthtest.Claims) string { return l.bound(claims) }
	header := func(header popauthtest.Claims) string { return l.issuer.TokenWith(header, l.owner.Bound()) }
	for _, tt := range []struct {
		fault, token, code string
		args               []string
	}{
		{"slash at the end of iss", with(popauthtest.Claims{"iss": l.issuer.URL + "/"}), "token_issuer", nil},
		{"another issuer", with(popauthtest.Claims{"iss": "https://other.example.com"}), "token_issuer", nil},
		{"no iss", with(popauthtest.Claims{"iss": popauthtest.Omit}), "token_issuer", nil},
		{"another audience", with(popauthtest.Claims{"aud": "x"}), "token_audience", nil},
		{"no audience", with(popauthtest.Claims{"aud": popauthtest.Omit}), "token_audience", nil},
		{"typ not listed", header(popauthtest.Claims{"typ": "JWT"}), "token_type", []string{"--typ", "at+jwt"}},
		{"no typ", header(popauthtest.Claims{"typ": popauthtest.Omit}), "token_type", nil},
		{"refresh token", header(popauthtest.Claims{"typ": "rt+jwt"}), "token_type", nil},
		{"ID token", l.issuer.TokenWith(popauthtest.Claims{"typ": "JWT"}, popauthtest.Claims{"at_hash": "x"}), "token_type", nil},
		{"logout token", with(popauthtest.Claims{"events": popauthtest.Claims{}, "typ": "Logout"}), "token_type", nil},
		{"HMAC", header(popauthtest.Claims{"alg": "HS256"}), "token_algorithm", nil},
		{"none", header(popauthtest.Claims{"alg": "none"}), "token_algorithm", nil},
		{"unknown kid", header(popauthtest.Claims{"kid": "yesterday"}), "token_key", nil},
		{"forged", forgedToken(l.bound()), "token_signature", nil},
		{"expired", with(popauthtest.Claims{"exp": now - 600}), "token_expired", nil},
		{"from the future", with(popauthtest.Claims{"iat": now + 600}), "token_not_yet_valid", nil},
		{"not before tomorrow", with(popauthtest.Claims{"nbf": now + 86400, "exp": now + 90000}), "token_not_yet_valid", nil},
		{"no exp", with(popauthtest.Claims{"exp": popauthtest.Omit}), "token_malformed", nil},
		{"exp as text", with(popauthtest.Claims{"exp": "tomorrow"}), "token_malformed", nil},
		{"cut off", l.bound()[:50], "token_malformed", nil},
		{"empty", "", "credentials_malformed", nil},
		{"with a space", "a b", "credentials_malformed", nil},
		{"scheme Token", l.bound(), "credentials_missing", []string{"--scheme", "Token"}},
		{"path of two readings", l.bound(), "request_line", []string{"--url", "https://api.example.com/a/%2e%2e/b"}},
		{"cnf of the wrong type", with(popauthtest.Claims{"cnf": 1}), "binding_malformed", nil},
		{"thumbprint of the wrong length", with(popauthtest.Claims{"cnf": popauthtest.Claims{"x5t#S256": "AA"}}), "binding_malformed", nil},
		{"cnf that nobody knows", with(popauthtest.Claims{"cnf": popauthtest.Claims{"x": "y"}}), "binding_unknown", nil},
		{"not bound", l.issuer.Token(), "binding_missing", nil},
		{"no certificate", l.bound(), "certificate_missing", []string{"--cert", ""}},
		{"another certificate", l.bound(), "certificate_mismatch", []string{"--cert", l.path("thief.pem")}},
		{"DPoP token under Bearer", dpopToken, "binding_scheme", nil},
		{"certificate-bound token under DPoP", l.bound(), "binding_scheme", []string{"--scheme", "DPoP"}},
		{"no proof", dpopToken, "proof_missing", []string{"--scheme", "DPoP"}},
		{"proof that is none", dpopToken, "proof_malformed", []string{"--proof", "x.y.z"}},
		{"proof of another key", dpopToken, "proof_key", proof(other, dpopToken)},
		{"proof for another method", dpopToken, "proof_target", proof(l.key, dpopToken, popauthtest.Claims{"htm": "POST"})},
		{"proof for another URL", dpopToken, "proof_target", proof(l.key, dpopToken, popauthtest.Claims{"htu": "https://x.example/"})},
		{"old proof", dpopToken, "proof_time", proof(l.key, dpopToken, popauthtest.Claims{"iat": now - 600})},
		{"proof from the future", dpopToken, "proof_time", proof(l.key, dpopToken, popauthtest.Claims{"iat": now + 600})},
		{"proof for another token", dpopToken, "proof_token", proof(l.key, l.issuer.Token(l.key.Bound()))},
		{"scope missing", l.bound(), "scope", []string{"--scope", "orders.write"}},
	} {
		live := []string{"explain", "--issuer", l.issuer.URL, "--audience", popauthtest.Audience, "--ca", l.path("ca.pem"),
			"--cert", l.path("owner.pem"), "-"}
		offline := append([]string{"--jwks", l.path("keys.json")}, tt.args...)
		for place, args := range map[string][]string{"live": append(live, tt.args...), "offline": append(live, offline...)} {
			status, out, errOut := l.run(tt.token, args...)
			if status != exitRefused || !strings.Contains(errOut, "refused: "+tt.code+",") || !strings.Contains(out, "✗") {
				t.Errorf("%s, %s: got %d, %s%s, want %s", tt.fault, place, status, out, errOut, tt.code)
			}
		}
	}
}

// The page of refusals has an entry for each code that explain can end with.
func TestCodesAreExplained(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "refusals.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		for _, reason := range c.reasons {
			if !strings.Contains(string(page), "\n### "+reason.Code()+"\n") {
				t.Errorf("%s: docs/refusals.md has no entry for %s", c.name, reason.Code())
			}
		}
	}
}
