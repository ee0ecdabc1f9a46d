package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// world is a token server with real TLS, and the certificates of its clients.
type world struct {
	*server
	t                       testing.TB
	ca                      *popauthtest.CA
	batch, edge, other, old *popauthtest.Client
	mtls                    string
	log                     *bytes.Buffer
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func newWorld(t testing.TB, mtls string, change ...func(*serverOptions)) *world {
	t.Helper()
	ca := popauthtest.NewCA(t)
	w := &world{t: t, ca: ca, log: &bytes.Buffer{}}
	w.batch, w.other, w.edge = ca.Client("orders-batch"), ca.Client("other"), popauthtest.SelfSigned(t, "edge")
	w.old = ca.Client("orders-batch", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	text := fmt.Sprintf(`{
		"batch": {"credentials": [{"credential": "subject_dn=CN=nobody"}, {"credential": "subject_dn=CN=orders-batch"}],
			"scope": "read write", "resources": ["https://a.example", "https://b.example"]},
		"edge": {"credentials": [{"credential": "thumbprint=%s"}], "scope": "read", "resources": ["https://a.example"],
			"access_token_seconds": 7},
		"gone": {"credentials": [{"credential": "subject_dn=CN=orders-batch", "expires": "2020-01-01T00:00:00Z"}],
			"scope": "read", "resources": ["https://a.example"]},
		"key": {"credentials": [{"credential": "subject_dn=CN=orders-batch"}], "dpop_bound_access_tokens": true,
			"scope": "read", "resources": ["https://a.example"]},
		"web": {"secrets": [{"sha256": "%s", "expires": "2020-01-01T00:00:00Z"}, {"sha256": "%s"}],
			"scope": "read", "resources": ["https://a.example"]},
		"bound": {"secrets": [{"sha256": "%[3]s"}], "tls_client_certificate_bound_access_tokens": true,
			"scope": "read", "resources": ["https://a.example"]}
	}`, w.edge.Thumbprint(), digest("expired"), digest("secret"))
	file := filepath.Join(t.TempDir(), "clients.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := readClients(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := openSigner("")
	if err != nil {
		t.Fatal(err)
	}
	l, err := settings{listen: "127.0.0.1:0", mtls: mtls}.open(ca.Server())
	if err != nil {
		t.Fatal(err)
	}
	o := serverOptions{
		issuer: l.issuer, endpoints: l.endpoints, clients: known, authorities: ca.Pool(), signer: key,
		lifetime: time.Minute, logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	if w.server, err = newServer(o); err != nil {
		t.Fatal(err)
	}
	w.mtls = w.metadata.Aliases.Token
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.serve(ctx, w.server) }()
	t.Cleanup(func() { stop(); <-done })
	return w
}

// answer is what a token endpoint answered.
type answer struct {
	status  int
	header  http.Header
	Token   string `json:"access_token"`
	Type    string `json:"token_type"`
	Scope   string `json:"scope"`
	Error   string `json:"error"`
	Seconds int    `json:"expires_in"`
}

type change func(*http.Request)

func basic(id, secret string) change { return func(r *http.Request) { r.SetBasicAuth(id, secret) } }

func proof(key *popauthtest.ProofKey, target string, claims ...popauthtest.Claims) change {
	value := key.Proof("POST", target, "", claims...)
	return func(r *http.Request) { r.Header.Add("DPoP", value) }
}

// post sends a form, with the certificate of a client if it is not nil.
func (w *world) post(as *popauthtest.Client, target string, form url.Values, changes ...change) answer {
	w.t.Helper()
	config := &tls.Config{RootCAs: w.ca.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, f := range changes {
		f(r)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if err := json.Unmarshal(body, &a); err != nil {
		w.t.Fatalf("%v: %s", err, body)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("got headers %v, want no-store", a.header)
	}
	return a
}

// request is a form of the client credentials grant.
func request(pairs ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return form
}

// present asks the guard of an API at audience whose keys come from the server's metadata.
func (w *world) present(audience string, r *http.Request) (*popauth.Principal, error) {
	w.t.Helper()
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: w.issuer, Client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.ca.Pool(), MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}})
	if err != nil {
		w.t.Fatal(err)
	}
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		w.t.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{
		Issuer: w.issuer, Audience: []string{audience}, Keys: keys, TokenTypes: []string{"at+jwt"},
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return guard.Check(r)
}
