package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// The service as a process would run it, against an issuer on a TLS listener whose certificate it trusts as it would
// a public one.
func TestService(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	dir := t.TempDir()
	ca := popauthtest.NewCA(t)
	cert, key, err := (&popauthtest.Client{Certificate: ca.Server()}).WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "roots.pem")
	trusted := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Server.Certificate().Raw})
	if err := os.WriteFile(roots, trusted, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)

	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-issuer", issuer.URL, "-audience", popauthtest.Audience, "-addr", "127.0.0.1:0", "-cert", cert, "-key",
			key}, write)
	}()
	line := make([]byte, 128)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "listening on "))

	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	for _, tt := range []struct {
		name   string
		client *popauthtest.Client
		path   string
		token  string
		want   int
	}{
		{"health", nil, "/health", "", 200},
		{"nobody", nil, "/orders", "", 401},
		{"owner", owner, "/orders", token, 200},
		{"thief", thief, "/orders", token, 401},
		{"thief without certificate", nil, "/orders", token, 401},
		{"without scope", owner, "/orders", issuer.Token(owner.Bound()), 403},
		{"unbound", owner, "/orders", issuer.Token(), 401},
	} {
		r, err := http.NewRequest(http.MethodGet, url+tt.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		answer, err := trusting(ca, tt.client).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, answer.StatusCode, tt.want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func trusting(ca *popauthtest.CA, c *popauthtest.Client) *http.Client {
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	config.RootCAs.AddCert(ca.Certificate)
	if c != nil {
		config.Certificates = []tls.Certificate{c.Certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"},
		{"-issuer", "http://id.example.com", "-audience", "a"},
		{"-issuer", "https://id.example.com", "-audience", "a", "-addr", "nowhere"},
		{"-issuer", "https://id.example.com", "-audience", "a", "-addr", "127.0.0.1:0", "-cert", "missing"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%q: want an error", args)
		}
	}
}
