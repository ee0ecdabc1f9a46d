// Tokenserver is an OAuth token server whose tokens are useless to a thief: they are bound to the client's certificate
// (RFC 8705), or to the key of a DPoP proof (RFC 9449). A file lists the clients, with their certificates by subject,
// alternative name or thumbprint, or their secrets and whether those are enough; clients.json is a sample.
//
//	go run -C examples/tokenserver .                 on loopback, with certificates that it makes itself
//	go run -C examples/tokenserver . -mtls /mtls     a path that demands certificates, not a port
//
// The first line on standard output is a JSON object that says where everything is. The rest are curl commands.
//
// It is built on zitadel/oidc, which routes and reads requests, and calls Go interfaces for the client, the token's
// content and the metadata. That adds 21 modules to the program. clientauth also works as fosite's client authentication
// strategy; fosite adds 53.
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth"
)

// settings are the flags.
type settings struct {
	listen, mtls, issuer     string
	clients                  string
	cert, key, clientCA      string
	signingKey, certificates string
	lifetime                 time.Duration
	nonces                   bool
}

func main() {
	log.SetFlags(0)
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:0", "`address` of the ordinary endpoints; port 0 is any that is free")
	flag.StringVar(&s.mtls, "mtls", "127.0.0.1:0", "`address` of the endpoints that demand a certificate, or a path prefix such as /mtls")
	flag.StringVar(&s.issuer, "issuer", "", "`URL` by which clients know the server; if empty, that of -listen")
	flag.StringVar(&s.clients, "clients", "clients.json", "`file` of registered clients")
	flag.StringVar(&s.cert, "cert", "", "server certificate, a PEM `file`; if empty, throw-away certificates are made")
	flag.StringVar(&s.key, "key", "", "its key, a PEM `file`")
	flag.StringVar(&s.clientCA, "client-ca", "", "authorities whose certificates may name clients, a PEM `file`")
	flag.StringVar(&s.signingKey, "signing-key", "", "P-256 key that signs tokens, a PEM `file` of PKCS #8; if empty, one is made")
	flag.StringVar(&s.certificates, "certificates", "", "`directory` for throw-away certificates; if empty, a temporary one")
	flag.DurationVar(&s.lifetime, "lifetime", 5*time.Minute, "how long a token is good")
	flag.BoolVar(&s.nonces, "dpop-nonces", false, "ask for nonces in DPoP proofs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		stop()
		log.Fatal(err)
	}
}

// addresses is the first line on standard output.
type addresses struct {
	Issuer        string `json:"issuer"`
	Token         string `json:"token_endpoint"`
	MTLSToken     string `json:"mtls_token_endpoint"`
	CA            string `json:"ca,omitempty"` // of throw-away certificates; theirs is the directory Certificates
	Certificates  string `json:"certificates,omitempty"`
	Authorization string `json:"authorization_server_metadata"`
}

func run(ctx context.Context, s settings, out io.Writer) error {
	if s.lifetime < time.Second {
		return errors.New("-lifetime is less than a second")
	}
	clients, err := readClients(s.clients)
	if err != nil {
		return err
	}
	own, err := s.openCertificates()
	if err != nil {
		return err
	}
	defer own.close()
	signer, err := openSigner(s.signingKey)
	if err != nil {
		return err
	}
	l, err := s.open(own.server)
	if err != nil {
		return err
	}
	defer l.close()
	server, err := newServer(serverOptions{
		issuer: l.issuer, endpoints: l.endpoints, clients: clients, authorities: own.authorities,
		signer: signer, lifetime: s.lifetime, nonces: s.nonces,
		logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	a := addresses{
		Issuer: l.issuer, Token: server.metadata.Token, MTLSToken: server.metadata.Aliases.Token,
		CA: own.caFile, Certificates: own.dir, Authorization: l.issuer + authorizationServerMetadata,
	}
	if err := json.NewEncoder(out).Encode(a); err != nil {
		return err
	}
	own.explain(out, a.MTLSToken)
	return l.serve(ctx, server)
}

// openCertificates reads those that the flags name, or makes some.
func (s settings) openCertificates() (*certificates, error) {
	given := 0
	for _, file := range []string{s.cert, s.key, s.clientCA} {
		if file != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return makeCertificates(s.certificates)
	case given < 3 || s.certificates != "":
		return nil, errors.New("-cert, -key and -client-ca go together, and without -certificates")
	}
	return readCertificates(s.cert, s.key, s.clientCA)
}

// serve answers on all listeners until ctx ends.
func (l *listeners) serve(ctx context.Context, h http.Handler) error {
	done := make(chan error, 2)
	servers := make([]*http.Server, 0, 2)
	for _, tcp := range l.all {
		server := &http.Server{
			Handler: popauth.RequestLine{}.Handler(h), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
			IdleTimeout: time.Minute,
			ErrorLog:    log.New(io.Discard, "", 0), // of handshakes that strangers have broken off
		}
		servers = append(servers, server)
		go func() { done <- server.Serve(tcp) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-done:
	}
	for _, server := range servers {
		_ = server.Close()
	}
	return err
}

// explain prints what works when pasted.
func (c *certificates) explain(out io.Writer, endpoint string) {
	if c.dir == "" {
		return
	}
	_, _ = fmt.Fprintf(out, `
# a token for orders-batch, bound to its certificate
curl --cacert %[1]s/ca.crt --cert %[1]s/orders-batch.crt --key %[1]s/orders-batch.key -d grant_type=client_credentials -d client_id=orders-batch %[2]s

# a token for web, which has a secret: at the same endpoint it is bound to whatever certificate web comes with
curl --cacert %[1]s/ca.crt --cert %[1]s/orders-batch.crt --key %[1]s/orders-batch.key -u web:not-a-secret -d grant_type=client_credentials %[2]s
`, c.dir, endpoint)
}

// pool reads a file of authorities.
func pool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: the operator's own file
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in PEM", file)
	}
	return p, nil
}

// isPath tells a path prefix from an address.
func isPath(s string) bool { return strings.HasPrefix(s, "/") }
