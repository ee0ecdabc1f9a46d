package popclient

import (
	"context"
	"crypto/tls"
	"errors"

	"golang.org/x/oauth2"
)

// Credentials are one certificate and the tokens that are bound to it, for connections that an http.Client doesn't make,
// such as those of gRPC. Have them from [MutualTLS.Credentials]. They are an oauth2.TokenSource, none of whose tokens
// belongs to another certificate: make the connections with TLSConfig, and send its tokens on them and on no others.
//
// For an *http.Client, MutualTLS does all of this by itself, and more: it replaces a token that an API has refused, and
// takes a new certificate into use.
//
// The zero Credentials and the nil ones have no token, and no handshake succeeds with their TLSConfig.
type Credentials struct {
	_ [0]func()

	generation *generation
}

var _ oauth2.TokenSource = (*Credentials)(nil)

var errNoCredentials = errors.New("popclient: Credentials that no MutualTLS has made")

// Credentials returns those of the certificate that requests are made with now, and fetches a token if they have none.
// It is the same pointer as before until that is another certificate: then make new connections. The former
// Credentials go on for as long as the authorization server takes their certificate.
func (m *MutualTLS) Credentials(ctx context.Context) (*Credentials, error) {
	if m == nil || m.stranger == nil {
		return nil, errNotMade
	}
	g, err := m.grant(ctx, "")
	if err != nil {
		return nil, err
	}
	return g.generation.credentials, nil
}

// Token returns a token that is good for a while, and fetches one if there is none, for no longer than
// MutualTLSOptions.Timeout. Its type is Bearer, or DPoP with MutualTLSOptions.Key: then it takes a proof with each
// request, as those of [DPoP] have. Expiry is always set.
func (c *Credentials) Token() (*oauth2.Token, error) {
	if c == nil || c.generation == nil {
		return nil, errNoCredentials
	}
	t, err := c.generation.acquire(context.Background(), "")
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: t.access, TokenType: c.generation.client.scheme(), Expiry: t.end}, nil
}

// Certificate returns a copy of what the tokens are bound to, with its key, or nil.
func (c *Credentials) Certificate() *tls.Certificate {
	if c == nil || c.generation == nil {
		return nil
	}
	certificate := *c.generation.certificate
	certificate.PrivateKey = c.generation.key.signer()
	return &certificate
}

// TLSConfig returns a new one, whose connections present the certificate. RootCAs and the rest are as
// MutualTLSOptions have them; NextProtos is nil.
func (c *Credentials) TLSConfig() *tls.Config {
	if c == nil || c.generation == nil {
		return &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12} //nolint:gosec // G402: it is no version at all
	}
	config := c.generation.client.newTransport(c.generation.present).TLSClientConfig
	config.NextProtos = nil
	if config.RootCAs != nil {
		config.RootCAs = config.RootCAs.Clone()
	}
	return config
}
