package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The service as a process would run it, against an issuer on a TLS listener whose certificate it trusts as it would
// a public one.
func TestService(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	ca := popauthtest.NewCA(t)
	url, end := start(t, issuer, ca)
	defer end()

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
}

// start runs the service until end.
func start(t *testing.T, issuer *popauthtest.Issuer, ca *popauthtest.CA) (url string, end func()) {
	t.Helper()
	dir := t.TempDir()
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
		done <- run(ctx, []string{
			"-issuer", issuer.URL, "-audience", popauthtest.Audience, "-addr", "127.0.0.1:0", "-cert", cert, "-key", key,
		}, write)
	}()
	line := make([]byte, 128)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url = strings.TrimSpace(strings.TrimPrefix(string(line[:n]), "listening on "))
	return url, func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// An instance that has no keys yet says so to the load balancer at once, and refuses a request within a bound. When the
// issuer can be reached it is ready by itself.
func TestFreshInstance(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	keys, reached := issuer.JWKS(), make(chan struct{})
	issuer.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-reached
		_, _ = w.Write(keys)
	}))
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	ca := popauthtest.NewCA(t)
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(routes(guard), nil)
	server.TLS = server.Config.TLSConfig
	server.TLS.Certificates = []tls.Certificate{ca.Server()}
	server.StartTLS()
	defer server.Close()
	owner := popauthtest.SelfSigned(t, "owner")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"scope": "orders.read"})
	ask := func(path string) (status int, took time.Duration) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		began := time.Now()
		answer, err := trusting(ca, owner).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode, time.Since(began)
	}
	if status, took := ask("/ready"); status != 503 || took > 2*time.Second {
		t.Errorf("ready without keys: got %d after %v, want 503 at once", status, took)
	}
	if status, took := ask("/orders"); status != 503 || took > 8*time.Second {
		t.Errorf("a request without keys: got %d after %v, want 503 within RemoteKeysOptions.Wait", status, took)
	}
	close(reached)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status, _ := ask("/ready")
		if status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ready: got %d", status)
		}
	}
	if status, _ := ask("/orders"); status != 200 {
		t.Errorf("then: got %d, want 200", status)
	}
}

// Connections that say nothing are closed by the server's IdleTimeout, here a shorter one.
func TestIdleConnections(t *testing.T) {
	const idle = 200
	server := httptest.NewUnstartedServer(nil)
	server.Config = newServer(http.NotFoundHandler(), nil)
	if server.Config.IdleTimeout <= 0 || server.Config.ReadHeaderTimeout <= 0 {
		t.Fatalf("got IdleTimeout %v, ReadHeaderTimeout %v", server.Config.IdleTimeout, server.Config.ReadHeaderTimeout)
	}
	server.Config.IdleTimeout, server.Config.ReadHeaderTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Start()
	defer server.Close()
	var all []net.Conn
	for n := range idle {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if n%2 == 0 { // the others never say anything
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		all = append(all, conn)
	}
	for n, conn := range all {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d is open yet", n)
		}
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
