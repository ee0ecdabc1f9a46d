package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// probed has an API, and its owner's files.
type probed struct {
	*lab
	api      *httptest.Server
	believes bool // the API takes the certificate from a header of anybody's
	token    string
}

func newProbed(t *testing.T, change func(*probed)) *probed {
	t.Helper()
	p := &probed{lab: newLab(t)}
	change(p)
	var h http.Handler
	p.api = popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	o := p.issuer.Options()
	o.TokenTypes, o.Logger = []string{"at+jwt"}, slog.New(slog.DiscardHandler)
	proofs, err := dpop.New(dpop.Options{BaseURL: p.api.URL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, "2 orders\n")
	})))
	h = popauth.RequestLine{Logger: o.Logger}.Handler(mux)
	if p.believes {
		h = believing(h)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: private})
	if err != nil {
		t.Fatal(err)
	}
	p.file("key.jwk", jwk)
	sum, err := jktOf(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	p.file("dpop.token", []byte(p.issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": sum}})+"\n"))
	p.token = p.bound()
	p.file("token", []byte(p.token+"\n"))
	for name, c := range map[string]*popauthtest.Client{"owner": p.owner, "thief": p.thief} {
		der, err := x509.MarshalPKCS8PrivateKey(c.Certificate.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		p.file(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	p.file("api.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.api.Certificate().Raw}))
	return p
}

// believing takes a certificate in a header for the caller's.
func believing(next http.Handler) http.Handler {
	format := proxy.Caddy("X-SSL-Client-Cert")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, err := format.Decode(r.Header); err == nil && p.Leaf != nil {
			c, err := x509.ParseCertificate(p.Leaf)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			r = r.Clone(r.Context())
			r.Header.Del("X-SSL-Client-Cert")
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: r.TLS.ServerName, PeerCertificates: []*x509.Certificate{c}}
		}
		next.ServeHTTP(w, r)
	})
}

func (p *probed) probe(more ...string) (int, string, string) {
	p.Helper()
	return p.run("", append([]string{"probe", p.api.URL + "/orders", "--ca", p.path("api.pem"), "--rate", "2000"}, more...)...)
}

// owned are the flags of the owner by certificate.
func (p *probed) owned(more ...string) []string {
	return append([]string{"--token-file", p.path("token"), "--cert", p.path("owner.pem"), "--key", p.path("owner.key"),
		"--other-cert", p.path("thief.pem"), "--other-key", p.path("thief.key")}, more...)
}

// A right API: no finding, for a certificate and for a key, by files, standard input and environment.
func TestProbeRight(t *testing.T) {
	p := newProbed(t, func(*probed) {})
	if status, out, errOut := p.probe(p.owned()...); status != exitOK || !strings.Contains(out, " 0 found, 0 unclear") {
		t.Errorf("certificate: got %d, %s%s", status, out, errOut)
	}
	t.Setenv(tokenVariable, readText(t, p.path("dpop.token")))
	status, out, errOut := p.probe("--dpop-key", p.path("key.jwk"), "--checks", "proof-*,replay", "--format", "json")
	var report struct {
		Results []struct{ Name, State, Section, Severity string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != exitOK || len(report.Results) < 30 {
		t.Errorf("key: got %d, %v, %s%s", status, err, out, errOut)
	}
	for _, r := range report.Results {
		if r.State != "passed" && r.State != "skipped" || r.Section == "" || r.Severity == "" {
			t.Errorf("got %+v", r)
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What docs/command.md shows is what the program prints, but for names, numbers and times.
func TestProbeFinds(t *testing.T) {
	p := newProbed(t, func(p *probed) { p.believes = true })
	status, out, errOut := p.probe(p.owned()...)
	if status != exitRefused || !strings.Contains(errOut, "not as it must be: ") {
		t.Errorf("got %d, %s", status, errOut)
	}
	page := readText(t, filepath.Join("..", "..", "docs", "command.md"))
	_, shown, _ := strings.Cut(page, "$ popauth probe https://api.example.com/orders")
	_, shown, _ = strings.Cut(shown, "\n")
	shown, _, _ = strings.Cut(shown, "\n```")
	out = regexp.MustCompile(`https://127.0.0.1:\d+`).ReplaceAllString(out, "https://api.example.com")
	out = strings.TrimSpace(regexp.MustCompile(`: \d+ requests in [\d.]+ s`).ReplaceAllString(out, ": 711 requests in 38.0 s"))
	if got := out + "\n" + strings.TrimSpace(errOut); got != strings.TrimSpace(shown) {
		t.Errorf("docs/command.md has\n%s\nthe program prints\n%s", shown, got)
	}
	for _, severity := range []string{"critical", "high"} {
		if status, _, _ := p.probe(p.owned("--checks", "header-caddy", "--fail-on", severity)...); status != exitRefused {
			t.Errorf("--fail-on %s: got %d", severity, status)
		}
	}
	if strings.Contains(page, base64.StdEncoding.EncodeToString(p.owner.Certificate.Certificate[0])[:40]) {
		t.Error("the page has a certificate")
	}
	status, out, _ = p.probe(p.owned("--checks", "header-caddy,no-token", "--format", "junit")...)
	var suites struct {
		Failures int `xml:"failures,attr"`
		Tests    int `xml:"tests,attr"`
	}
	if err := xml.Unmarshal([]byte(out), &suites); err != nil || status != exitRefused || suites.Failures != 1 || suites.Tests != 2 {
		t.Errorf("JUnit: got %d, %v, %+v", status, err, suites)
	}
	status, out, _ = p.probe(p.owned("--checks", "header-caddy", "--format", "sarif")...)
	if status != exitRefused || !strings.Contains(out, `"ruleId": "header-caddy"`) {
		t.Errorf("SARIF: got %d, %s", status, out)
	}
	if _, out, _ = p.probe(p.owned("--checks", "header-caddy", "--color", "always")...); !strings.Contains(out, "\x1b[31m✗") {
		t.Errorf("colour: got %s", out)
	}
}

// Errors say which file, what is wrong and what to do; nothing is sent, and no secret is printed.
func TestProbeErrors(t *testing.T) {
	p := newProbed(t, func(*probed) {})
	p.file("old.token", []byte(p.bound(popauthtest.Claims{"exp": 1700000000})))
	p.file("public.jwk", []byte(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",`+
		`"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`))
	p.file("headers", []byte("Authorization: Bearer x\n"))
	t.Setenv(tokenVariable, "")
	for _, tt := range []struct {
		name string
		args []string
		says []string
	}{
		{"no URL", []string{"probe"}, []string{"want one URL"}},
		{"http", []string{"probe", "http://api.example.com/", "--token-file", p.path("token"), "--dpop-key", p.path("key.jwk")},
			[]string{"https only"}},
		{"no token", []string{"probe", p.api.URL, "--dpop-key", p.path("key.jwk")}, []string{"--token-file", tokenVariable}},
		{"nothing to prove", []string{"probe", p.api.URL, "--token-file", p.path("token")}, []string{"certificate or the DPoP key"}},
		{"no such file", []string{"probe", p.api.URL, "--token-file", p.path("nowhere"), "--cert", p.path("nothing")},
			[]string{"--token-file " + p.path("nowhere"), "--cert " + p.path("nothing"), "no such file"}},
		{"certificate without its key", []string{"probe", p.api.URL, "--token-file", p.path("token"), "--cert", p.path("owner.pem")},
			[]string{p.path("owner.pem"), "--key names"}},
		{"public key", []string{"probe", p.api.URL, "--token-file", p.path("token"), "--dpop-key", p.path("public.jwk")},
			[]string{p.path("public.jwk"), "without its private key"}},
		{"headers of its own", []string{"probe", p.api.URL, "--token-file", p.path("token"), "--dpop-key", p.path("key.jwk"),
			"--header-file",
			p.path("headers")}, []string{"Authorization is what the probe itself writes"}},
		{"format", []string{"probe", p.api.URL, "--format", "pdf"}, []string{"want table, json, junit or sarif"}},
		{"severity", []string{"probe", p.api.URL, "--fail-on", "bad"}, []string{"info, low, medium, high, critical"}},
		{"check", append([]string{"probe", p.api.URL, "--checks", "x"}, p.owned()...), []string{"--list has the names"}},
		{"owner refused", append([]string{"probe", p.api.URL + "/orders", "--ca", p.path("api.pem")},
			p.owned("--token-file", p.path("old.token"))...),
			[]string{"the API refuses its owner", "401 Unauthorized", "popauth inspect"}},
		{"another authority", append([]string{"probe", p.api.URL + "/orders"}, p.owned()...), []string{"refuses its owner", "certificate"}},
	} {
		status, out, errOut := p.run("", tt.args...)
		if status != exitUsage || out != "" {
			t.Errorf("%s: got %d, %s", tt.name, status, out)
		}
		for _, want := range tt.says {
			if !strings.Contains(errOut, want) {
				t.Errorf("%s: got %s, want %q in it", tt.name, errOut, want)
			}
		}
		if strings.Contains(errOut, p.token) || strings.Contains(errOut, "PRIVATE KEY") {
			t.Errorf("%s: a secret is printed", tt.name)
		}
	}
}

// Help fits on a screen and has two examples; --list needs no URL.
func TestProbeHelp(t *testing.T) {
	l := newLab(t)
	_, out, _ := l.run("", "probe", "--help")
	if n := strings.Count(out, "\n"); n > 40 || strings.Count(out, "  popauth probe https://") != 2 {
		t.Errorf("got %d lines:\n%s", n, out)
	}
	for _, line := range strings.Split(out, "\n") {
		if len(line) > 120 {
			t.Errorf("longer than a screen is wide: %s", line)
		}
	}
	if status, out, _ := l.run("", "probe", "--list"); status != exitOK || !strings.Contains(out, "RFC 9449, section 11.1") {
		t.Errorf("--list: got %d, %s", status, out)
	}
}
