package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// realm is imported as it stands. Keycloak puts environment variables in the place of ${…}.
//
//go:embed orders-realm.json
var realm []byte

// secrets are those of clients that authenticate by one, and the administrator's. Each run makes its own.
type secrets struct{ job, plain, admin string }

func newSecrets() secrets { return secrets{job: rand.Text(), plain: rand.Text(), admin: rand.Text()} }

func (s secrets) environment() []string {
	return []string{
		"ORDERS_JOB_SECRET=" + s.job, "ORDERS_PLAIN_SECRET=" + s.plain,
		"KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD=" + s.admin,
	}
}

// keycloak is where the server is.
type keycloak struct {
	base   string
	issuer string // the realm
	token  string // its token endpoint
}

// buildOptions are those that Keycloak has to be built with. Without https-client-auth it never asks for a certificate.
func buildOptions(command string) []string {
	return []string{command, "--db=dev-file", "--https-client-auth=request"}
}

// startKeycloak starts the copy in home, with the realm, and waits until it answers.
func (w *world) startKeycloak(ctx context.Context, home string) error {
	if err := w.writeFiles(home); err != nil {
		return err
	}
	port, err := freePort() // which --hostname has to name
	if err != nil {
		return err
	}
	k := &w.keycloak
	k.base = fmt.Sprintf("https://localhost:%d", port)
	k.issuer = k.base + "/realms/orders"
	k.token = k.issuer + "/protocol/openid-connect/token"
	p := w.command(home, append(buildOptions("start"),
		"--import-realm", "--cache=local", "--log-level=warn",
		"--hostname="+k.base, "--http-host=127.0.0.1", fmt.Sprint("--https-port=", port),
		"--https-certificate-file="+w.path("server.crt"), "--https-certificate-key-file="+w.path("server.key"),
		// The authorities of clients, whatever they are called: a client's switches say which of them is its own.
		"--https-trust-store-file="+w.path("trusted.crt"),
	)...)
	if err := p.start(); err != nil {
		return err
	}
	w.Cleanup(p.stop)
	client := w.http(nil)
	if err := p.await(ctx, func() error { return k.answers(ctx, client) }); err != nil {
		return err
	}
	w.say("issuer        %s, after %.0f s", k.issuer, time.Since(w.started).Seconds())
	return nil
}

// writeFiles writes the certificates of the servers, and the realm where --import-realm looks for it.
func (w *world) writeFiles(home string) error {
	server := &popauthtest.Client{Certificate: w.authority.Server()}
	cert, key, err := server.WritePEM(w.dir)
	if err != nil {
		return err
	}
	imports := filepath.Join(home, "data", "import")
	return errors.Join(
		os.Rename(cert, w.path("server.crt")), os.Rename(key, w.path("server.key")),
		os.WriteFile(w.path("ca.crt"), w.authority.PEM(), 0o600),
		os.WriteFile(w.path("trusted.crt"), slices.Concat(w.authority.PEM(), w.partner.PEM()), 0o600),
		os.MkdirAll(imports, 0o750),
		os.WriteFile(filepath.Join(imports, "orders-realm.json"), realm, 0o600),
	)
}

// answers asks for the realm's metadata, as clients do.
func (k keycloak) answers(ctx context.Context, client *http.Client) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("metadata of the realm: %s", answer.Status)
	}
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&metadata); err != nil || metadata.Issuer != k.issuer {
		return fmt.Errorf("metadata of the realm: got the issuer %q, %w, want %q", metadata.Issuer, err, k.issuer)
	}
	return nil
}

// transport trusts the servers of this run alone, and presents the certificate, if any.
func (w *world) transport(certificate *tls.Certificate) *http.Transport {
	c := &tls.Config{RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12}
	if certificate != nil {
		c.Certificates = []tls.Certificate{*certificate}
	}
	t := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
	w.Cleanup(t.CloseIdleConnections)
	return t
}

func (w *world) http(certificate *tls.Certificate) *http.Client {
	return &http.Client{Transport: w.transport(certificate), Timeout: 10 * time.Second}
}

// freePort is a port of 127.0.0.1 that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	a, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("got the address %v, want one of TCP", l.Addr())
	}
	return a.Port, nil
}
