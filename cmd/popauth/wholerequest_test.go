package main

import (
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// A whole request is decided like its parts, in whatever form it was kept.
func TestExplainRequest(t *testing.T) {
	l := newLab(t)
	token := l.issuer.Token(l.key.Bound(), popauthtest.Claims{"scope": "orders.read"})
	const orders = "https://api.example.com/orders"
	proof := l.key.Proof("GET", orders, token)
	raw := func(token, proof string) string {
		return "GET /orders?page=2 HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: DPoP " + token + "\r\nDPoP: " + proof + "\r\n\r\n"
	}
	entry, err := json.Marshal(map[string]any{"log": map[string]any{"entries": []any{
		map[string]any{"request": map[string]any{"method": "GET", "url": "https://other.example.com/", "headers": []any{}}},
		map[string]any{"request": map[string]any{"method": "GET", "url": orders + "?page=2", "headers": []any{
			map[string]string{"name": "authorization", "value": "DPoP " + token}, map[string]string{"name": "dpop", "value": proof},
		}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		args       []string
		status     int
		says       string
	}{
		{name: "raw", text: raw(token, proof), says: "passes"},
		{name: "curl", text: "curl '" + orders + "?page=2' -H 'Authorization: DPoP " + token + "' -H 'DPoP: " + proof + "'",
			says: "passes"},
		{name: "HAR", text: string(entry), args: []string{"--entry", "2"}, says: "passes"},
		{name: "HAR, first", text: string(entry), args: []string{"--entry", "1"}, status: exitRefused, says: "credentials_missing"},
		{name: "HAR, which", text: string(entry), status: exitUsage, says: "2: GET " + orders},
		{name: "proof for another URL", text: strings.Replace(raw(token, proof), "/orders", "/admin", 1), status: exitRefused,
			says: "proof_target"},
		{name: "as its client knows it", text: strings.Replace(raw(token, proof), "api.example.com", "10.0.4.8:8080", 1),
			args: []string{"--url", "https://api.example.com/"}, says: "passes"},
		{name: "another name", text: strings.Replace(raw(token, proof), "api.example.com", "10.0.4.8:8080", 1), status: exitRefused,
			says: "proof_target"},
		{name: "forged", text: raw(forgedToken(token), proof), status: exitRefused, says: "token_signature"},
		{name: "two tokens", text: strings.Replace(raw(token, proof), "DPoP: ", "Authorization: DPoP x\r\nDPoP: ", 1), status: exitRefused,
			says: "credentials_malformed"},
		{name: "two proofs", text: strings.Replace(raw(token, proof), "DPoP: ", "DPoP: x\r\nDPoP: ", 1), status: exitRefused,
			says: "proof_malformed"},
		{name: "Bearer", text: strings.Replace(raw(token, proof), "DPoP ", "Bearer ", 1), status: exitRefused, says: "binding_scheme"},
		{name: "scope", text: raw(token, proof), args: []string{"--scope", "orders.write"}, status: exitRefused, says: "refused: scope"},
		{name: "a token besides", text: raw(token, proof), args: []string{"-"}, status: exitUsage, says: "leave out the other one"},
		{name: "a proof besides", text: raw(token, proof), args: []string{"--proof", "x"}, status: exitUsage, says: "leave it out"},
		{name: "nothing", text: "", status: exitUsage, says: "empty"},
	} {
		args := append([]string{"explain", "--issuer", l.issuer.URL, "--audience", popauthtest.Audience, "--jwks", l.path("keys.json"),
			"--request", "-"}, tt.args...)
		status, out, errOut := l.run(tt.text, args...)
		if status != tt.status || !strings.Contains(out+errOut, tt.says) {
			t.Errorf("%s: got %d, %s%s, want %d, %q", tt.name, status, out, errOut, tt.status, tt.says)
		}
		if strings.Contains(out+errOut, token) || strings.Contains(out+errOut, proof) {
			t.Errorf("%s: the token or the proof is printed", tt.name)
		}
	}
}

// The certificate comes from the headers of the format that is named, and from nowhere else.
func TestExplainRequestBehindProxy(t *testing.T) {
	l := newLab(t)
	token := l.bound()
	der := l.owner.Certificate.Certificate[0]
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	head := "GET /orders HTTP/1.1\nHost: api.example.com\nAuthorization: Bearer " + token + "\n"
	xfcc, err := proxy.Envoy().Encode(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, headers string
		args          []string
		status        int
		says          string
	}{
		{"nginx", "X-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Verify: SUCCESS\n", []string{"--proxy-format", "nginx"}, exitOK,
			"passes"},
		{"nginx, no verdict", "X-SSL-Client-Cert: " + escaped + "\n", []string{"--proxy-format", "nginx"}, exitRefused, "certificate"},
		{"nginx, without verdict", "X-Cert: " + escaped + "\n",
			[]string{"--proxy-format", "nginx", "--header", "X-Cert", "--verify-header", ""}, exitOK, "passes"},
		{"no format", "X-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Verify: SUCCESS\n", nil, exitRefused, "certificate_missing"},
		{"other format", "X-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Verify: SUCCESS\n", []string{"--proxy-format", "envoy"},
			exitRefused,
			"certificate_missing"},
		{"twice", "X-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Cert: " + escaped + "\nX-SSL-Client-Verify: SUCCESS\n",
			[]string{"--proxy-format", "nginx"}, exitRefused, "certificate"},
		{"envoy", "X-Forwarded-Client-Cert: " + xfcc.Get("X-Forwarded-Client-Cert") + "\n", []string{"--proxy-format", "envoy"},
			exitOK, "passes"},
		{"no such format", "", []string{"--proxy-format", "squid"}, exitUsage, "want apache"},
		{"both", "", []string{"--proxy-format", "nginx", "--cert", l.path("owner.pem")}, exitUsage, "give one of them"},
		{"by the connection", "", []string{"--cert", l.path("owner.pem")}, exitOK, "passes"},
	} {
		args := append([]string{"explain", "--issuer", l.issuer.URL, "--audience", popauthtest.Audience, "--jwks", l.path("keys.json"),
			"--request", "-"}, tt.args...)
		status, out, errOut := l.run(head+tt.headers, args...)
		if status != tt.status || !strings.Contains(out+errOut, tt.says) {
			t.Errorf("%s: got %d, %s%s, want %d, %q", tt.name, status, out, errOut, tt.status, tt.says)
		}
	}
	for name, make := range formats {
		if err := make("X-Cert", "X-Verify").Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
