package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

// connectDPoP opens an MCP session whose token is bound to key. The SDK does discovery, the token request and the
// protocol: only the transports of its two HTTP clients use the key.
func connectDPoP(ctx context.Context, endpoint, id, secret string, key *popclient.Key, base http.RoundTripper) (*mcp.ClientSession, error) {
	// At the token endpoint a proof names the key that the token will be bound to.
	tokens, err := credentials(id, secret, &popclient.Proofs{Key: key, Base: base})
	if err != nil {
		return nil, err
	}
	// At the MCP server each request proves that its sender has that key.
	return connect(ctx, endpoint, tokens, &proving{base, &popclient.DPoP{Key: key, Source: source{tokens}, Base: base}})
}

// connectCertificate does the same with the certificate that base presents. Nothing else is needed: such a token is
// sent under Bearer, and the TLS handshake is the proof.
func connectCertificate(ctx context.Context, endpoint, id, secret string, base http.RoundTripper) (*mcp.ClientSession, error) {
	tokens, err := credentials(id, secret, base)
	if err != nil {
		return nil, err
	}
	return connect(ctx, endpoint, tokens, base)
}

func credentials(id, secret string, t http.RoundTripper) (*extauth.ClientCredentialsHandler, error) {
	return extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
		Credentials: &oauthex.ClientCredentials{ClientID: id, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}},
		HTTPClient:  &http.Client{Transport: t},
	})
}

func connect(ctx context.Context, endpoint string, tokens auth.OAuthHandler, t http.RoundTripper) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0.0"}, nil)
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: endpoint, OAuthHandler: tokens, HTTPClient: &http.Client{Transport: t}, DisableStandaloneSSE: true, MaxRetries: -1,
	}, nil)
}

// proving sends the first request as it is; its refusal tells the SDK where to get a token. From then on the SDK sends
// Bearer, which popclient replaces by the scheme DPoP and a proof.
type proving struct {
	plain http.RoundTripper
	dpop  *popclient.DPoP
}

func (p *proving) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") == "" {
		return p.plain.RoundTrip(r)
	}
	return p.dpop.RoundTrip(r)
}

// source is the SDK's tokens for popclient.
type source struct{ tokens auth.OAuthHandler }

func (s source) Token() (*oauth2.Token, error) {
	t, err := s.tokens.TokenSource(context.Background())
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("no token yet")
	}
	return t.Token()
}

// wire is a connection to servers with these certificates. It records what it sent last, as an eavesdropper would.
type wire struct {
	transport *http.Transport

	mu   sync.Mutex
	sent http.Header
}

func newWire(roots *x509.CertPool, certificate *tls.Certificate) *wire {
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return &wire{transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent = r.Header.Clone()
	w.mu.Unlock()
	return w.transport.RoundTrip(r)
}

func (w *wire) last() http.Header {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}
