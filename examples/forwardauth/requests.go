package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// claims are those of a token for the API.
func claims(all ...popauthtest.Claims) popauthtest.Claims {
	c := popauthtest.Claims{"aud": audience, "sub": "alice", "client_id": "orders-batch", "scope": "orders.read"}
	for _, more := range all {
		maps.Copy(c, more)
	}
	return c
}

// revoked stands for a service that can't always be reached.
func revoked(_ context.Context, t *popauth.Token) (bool, error) {
	if t.Subject() == "nobody can tell" {
		return false, errors.New("no answer")
	}
	return false, nil
}

// request is one that a caller makes. What is empty is the owner's: GET /orders with the certificate.
type request struct {
	name   string
	method string
	target string
	as     *popauthtest.Client
	token  string              // "none" for none
	proof  func(string) string // makes the proof for the URL without the path; the token is then the one for DPoP
	header http.Header         // sent as it is spelled
	http2  bool
	from   string // connects to the service from this address, around the proxy
	before func()
	want   string
}

// forged returns identity headers as an attacker would spell them.
func forged(separator string) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{"Issuer": "https://evil.example", "Subject": "admin", "Client": "admin", "Scope": "admin",
		"Binding": "jkt"} {
		h["X"+separator+"Auth"+separator+name] = []string{value}
	}
	return h
}

// certificate is what the proxy would send for the owner's.
func (w *world) certificate() http.Header {
	der := w.owner.Certificate.Certificate[0]
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	value, escaped := base64.StdEncoding.EncodeToString(der), strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	h := http.Header{
		"X-SSL-Client-Cert": {value}, "X-SSL-Client-Verify": {"SUCCESS"}, "X-Forwarded-Tls-Client-Cert": {value},
		"X-Forwarded-Client-Cert": {fmt.Sprintf(`Hash=%x;Cert="%s"`, sha256.Sum256(der), escaped)},
	}
	if w.setup.certificate.Name() == "nginx" {
		h["X-SSL-Client-Cert"] = []string{escaped}
	}
	return h
}

// reported is what the proxy would send about another request.
func reported(host, method, target string) http.Header {
	return http.Header{
		"X-Original-Method": {method}, "X-Original-URI": {target}, "X-Original-Proto": {"https"}, "X-Original-Host": {host},
		"X-Forwarded-Method": {method}, "X-Forwarded-Uri": {target}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {host},
	}
}

// overrides are the headers that frameworks obey instead of the method or the path.
func overrides(method, target string) http.Header {
	return http.Header{
		"X-HTTP-Method-Override": {method}, "X-HTTP-Method": {method}, "X-Method-Override": {method},
		"X-Original-URL": {target}, "X-Rewrite-URL": {target},
	}
}

func merged(all ...http.Header) http.Header {
	h := http.Header{}
	for _, more := range all {
		maps.Copy(h, more)
	}
	return h
}

func (w *world) rows() []request {
	nobody := &popauthtest.Client{}
	fits := func(method, path string) func(string) string {
		return func(base string) string {
			extra := popauthtest.Claims{}
			if w.nonce != "" {
				extra["nonce"] = w.nonce
			}
			w.proof = w.key.Proof(method, base+path, w.dpop, extra)
			return w.proof
		}
	}
	last := func(string) string { return w.proof }
	host := w.host()
	everything := func(sub string) string {
		return w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"sub": sub}))
	}
	const identified = `200 issuer, "alice", "orders-batch", "orders.read", "x5t#S256"`
	const nameless = `200 issuer, "", "orders-batch", "orders.read", "x5t#S256"`
	const byProof = `200 issuer, "alice", "orders-batch", "orders.read", "jkt"`
	listed := http.Header{"Connection": {"X-Auth-Subject, X-Auth-Issuer, X-Auth-Client, X-Auth-Scope, X-Auth-Binding, " +
		"X-SSL-Client-Cert, X-Forwarded-Uri, X-Original-URI"}}
	return []request{
		{name: "the owner, by certificate", want: identified},
		{name: "the owner, by DPoP, without a nonce", as: nobody, proof: fits("GET", "/orders"), want: "401 use_dpop_nonce, 2 challenges"},
		{name: "the owner, by DPoP", as: nobody, proof: fits("GET", "/orders"), want: byProof},
		{name: "the same proof once more", as: nobody, proof: last, want: "401 invalid_dpop_proof, 2 challenges"},
		{name: "the owner, by DPoP, path and query", as: nobody, proof: fits("GET", "/orders/a%20b"), target: "/orders/a%20b?x=%20y",
			want: byProof},
		{name: "a proof for another method", as: nobody, proof: fits("GET", "/orders"), method: "POST",
			want: "401 invalid_dpop_proof, 2 challenges"},
		{name: "a proof for another path", as: nobody, proof: fits("GET", "/orders/1"), target: "/orders/2",
			want: "401 invalid_dpop_proof, 2 challenges"},
		{name: "the same, and the forged report of it", as: nobody, proof: fits("GET", "/orders/1"), target: "/orders/2",
			header: reported(host, "GET", "/orders/1"), want: "401 invalid_dpop_proof, 2 challenges"},
		{name: "the same, with `_`", as: nobody, proof: fits("GET", "/orders/1"), target: "/orders/2",
			header: respelled(reported(host, "GET", "/orders/1")), want: "401 invalid_dpop_proof, 2 challenges"},
		{name: "POST with a proof for it, and the forged report of a GET", as: nobody, proof: fits("POST", "/orders"), method: "POST",
			header: reported(host, "GET", "/orders"), want: "403"},
		{name: "the owner, with the forged report of another request", header: reported("evil.example", "DELETE", "/admin"),
			want: identified},
		{name: "the owner, by certificate, over HTTP/2", http2: true, want: identified},
		{name: "the owner, by DPoP, over HTTP/2", http2: true, as: nobody, proof: fits("GET", "/orders/3"), target: "/orders/3",
			want: byProof},
		{name: "the owner, forged identity with `_`, over HTTP/2", http2: true, header: forged("_"), want: identified},
		{name: "no token", token: "none", want: "401, 2 challenges"},
		{name: "the owner's token, no certificate", as: nobody, want: "401 invalid_token, 2 challenges"},
		{name: "the owner's token, another certificate", as: w.thief, want: "401 invalid_token, 2 challenges"},
		{name: "the same, and the forged report of the owner's", as: w.thief, header: w.certificate(),
			want: "401 invalid_token, 2 challenges"},
		{name: "no token, forged identity", token: "none", header: forged("-"), want: "401, 2 challenges"},
		{name: "the owner, forged identity", header: forged("-"), want: identified},
		{name: "the owner, forged identity with `_`", header: forged("_"), want: identified},
		{name: "the owner, forged identity with `.`", header: forged("."), want: identified},
		{name: "the owner, forged identity, mixed", header: http.Header{"X-Auth_Subject": {"admin"}, "x_auth-subject": {"admin"}},
			want: identified},
		{name: "the owner, `Connection:` names the headers", header: listed, want: identified},
		{name: "a token without sub, forged identity", token: everything(""), header: forged("-"), want: nameless},
		{name: "a token without sub", token: everything(""), want: nameless},
		{name: "the owner, the same method and URL in headers", header: overrides("GET", "/orders"), want: identified},
		{name: "the owner, another method and URL in headers", header: overrides("DELETE", "/admin"), want: identified},
		{name: "a sub of line breaks, comma and umlaut", token: everything("ü\r\nX-Auth-Client: admin, %"),
			want: `200 issuer, "%C3%BC%0D%0AX-Auth-Client:%20admin%2C%20%25", "orders-batch", "orders.read", "x5t#S256"`},
		{name: "the scope is missing", token: w.issuer.Token(claims(w.owner.Bound(), popauthtest.Claims{"scope": "other"})),
			want: "403 insufficient_scope, 1 challenge"},
		{name: "the token in the query as well", target: "/orders?access_token=x", want: "400 invalid_request, 1 challenge"},
		{name: "what the service needs is down", token: everything("nobody can tell"), want: w.setup.outage},
		{name: "the service, through the proxy", target: "/auth/orders.read", want: "404"},
		{name: "the service, from another address", from: "127.0.0.2", header: merged(reported(host, "GET", "/orders"), w.certificate()),
			want: "403"},
		{name: "the service, from the proxy's, without the secret", from: "127.0.0.1",
			header: merged(reported(host, "GET", "/orders"), w.certificate()), want: "400"},
		{name: "the service is down", before: w.auth.Close, want: w.setup.down},
	}
}

// respelled puts underscores where the hyphens are.
func respelled(h http.Header) http.Header {
	other := http.Header{}
	for name, values := range h {
		other[strings.ReplaceAll(name, "-", "_")] = values
	}
	return other
}

func (w *world) host() string { return strings.Replace(w.proxy.Address, "127.0.0.1", "localhost", 1) }

// outcome makes a request and returns what the caller and the API got.
func (w *world) outcome(r request) (string, error) {
	if r.before != nil {
		r.before()
	}
	before := len(w.upstream.seen)
	answer, err := w.send(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return "", err
	}
	if nonce := answer.Header.Get("DPoP-Nonce"); nonce != "" {
		w.nonce = nonce
	}
	w.upstream.mu.Lock()
	defer w.upstream.mu.Unlock()
	seen := w.upstream.seen[before:]
	if answer.StatusCode == http.StatusOK && len(seen) == 1 {
		return "200 " + w.shown(seen[0]), nil
	}
	got := fmt.Sprint(answer.StatusCode)
	challenges := strings.Join(answer.Header.Values("WWW-Authenticate"), ", ")
	if _, rest, ok := strings.Cut(challenges, `error="`); ok {
		code, _, _ := strings.Cut(rest, `"`)
		got += " " + code
	}
	switch strings.Count(", "+challenges, ", Bearer") + strings.Count(", "+challenges, ", DPoP") {
	case 1:
		got += ", 1 challenge"
	case 2:
		got += ", 2 challenges"
	}
	if answer.Header.Get("Retry-After") != "" {
		got += ", Retry-After"
	}
	if len(seen) > 0 {
		got += ", AND IT REACHED THE API"
	}
	return got, nil
}

// shown returns the identity headers that reached the API, under any spelling.
func (w *world) shown(h http.Header) string {
	names := []string{"X-Auth-Issuer", "X-Auth-Subject", "X-Auth-Client", "X-Auth-Scope", "X-Auth-Binding"}
	var all []string
	for _, name := range names {
		lines := h[name]
		switch {
		case len(lines) == 1 && lines[0] == w.issuer.URL:
			all = append(all, "issuer")
		default:
			all = append(all, fmt.Sprintf("%q", strings.Join(lines, "|")))
		}
		delete(h, name)
	}
	for name := range h {
		plain := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		if strings.HasPrefix(plain, "x-auth") || plain == "x-proxy-secret" || strings.Contains(plain, "-cert") ||
			strings.Contains(plain, "http-method") || plain == "x-method-override" || plain == "x-original-url" ||
			plain == "x-rewrite-url" {
			all = append(all, "AND "+name)
		}
	}
	return strings.Join(all, ", ")
}

func (w *world) send(r request) (*http.Response, error) {
	config := &tls.Config{RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12}
	switch {
	case r.as == nil:
		config.Certificates = []tls.Certificate{w.owner.Certificate}
	case r.as.Certificate.Leaf != nil:
		config.Certificates = []tls.Certificate{r.as.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: r.http2} // HTTP/1.1 leaves names as they are spelled
	defer transport.CloseIdleConnections()
	base, target := "https://"+w.host(), "/orders"
	if r.from != "" {
		base, target = w.auth.URL, "/auth/orders.read"
		transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(r.from)}}).DialContext
	}
	if r.target != "" {
		target = r.target
	}
	request, err := http.NewRequest(r.method, base+target, http.NoBody)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, r.header)
	switch {
	case r.proof != nil:
		request.Header.Set("Authorization", "DPoP "+w.dpop)
		request.Header.Set("DPoP", r.proof(base))
	case r.token == "":
		request.Header.Set("Authorization", "Bearer "+w.token)
	case r.token != "none":
		request.Header.Set("Authorization", "Bearer "+r.token)
	}
	return (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Do(request)
}
