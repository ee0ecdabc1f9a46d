package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// The APIs that the provider knows, by the form of the tokens that it issues for them.
const (
	structured = "https://structured.example.com"
	opaque     = "https://opaque.example.com"
)

type object map[string]any

// authorizationServer is where clients get their tokens.
type authorizationServer struct {
	testing.TB
	issuer   string
	metadata metadata

	ca          *popauthtest.CA // of the server, of the APIs and of clients
	certificate tls.Certificate // of the server and the APIs

	// The clients whose tokens are bound to their certificates, by how they authenticate.
	byDN, bySAN, selfSigned *popauthtest.Client
}

type metadata struct {
	TokenEndpoint      string `json:"token_endpoint"`
	RevocationEndpoint string `json:"revocation_endpoint"`
	Aliases            struct {
		TokenEndpoint string `json:"token_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

func newAuthorizationServer(tb testing.TB) *authorizationServer {
	tb.Helper()
	s := &authorizationServer{TB: tb, ca: popauthtest.NewCA(tb), selfSigned: popauthtest.SelfSigned(tb, "self-signed")}
	s.certificate, s.byDN = s.ca.Server(), s.ca.Client("by-dn", ofOrders)
	s.bySAN = s.ca.Client("by-san", func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/orders"}}
	})
	return s
}

func ofOrders(c *x509.Certificate) { c.Subject.Organization = []string{"Orders"} }

// namesakeOf is a certificate like that of by-dn, of an authority that the provider doesn't know.
func namesakeOf(tb testing.TB) *popauthtest.Client {
	return popauthtest.NewCA(tb).Client("by-dn", ofOrders)
}

// discover reads the server's metadata, at this place.
func (s *authorizationServer) discover(place string) {
	s.Helper()
	client := &http.Client{Transport: s.transport(nil)}
	resp, err := client.Get(s.issuer + "/.well-known/" + place)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s.metadata); err != nil {
		s.Fatal(err)
	}
}

// bound is a token for a client that authenticates by certificate, and that is bound to it.
func (s *authorizationServer) bound(client *popauthtest.Client, id, resource string) (*oauth2.Token, error) {
	return s.token(s.transport(client), clientcredentials.Config{
		ClientID: id, TokenURL: s.metadata.Aliases.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
	}, resource)
}

// obtain is a token for by-dn.
func (s *authorizationServer) obtain(resource string) string {
	s.Helper()
	token, err := s.bound(s.byDN, "by-dn", resource)
	if err != nil {
		s.Fatal(err)
	}
	return token.AccessToken
}

// boundTo is a token that is bound to a key by DPoP.
func (s *authorizationServer) boundTo(key *popclient.Key, resource string) (*oauth2.Token, error) {
	return s.token(&popclient.Proofs{Key: key, Base: s.transport(nil)}, clientcredentials.Config{
		ClientID: "by-key", ClientSecret: clientSecret, TokenURL: s.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
	}, resource)
}

// unbound is a bearer token.
func (s *authorizationServer) unbound(resource string) (*oauth2.Token, error) {
	return s.token(s.transport(nil), clientcredentials.Config{
		ClientID: "unbound", ClientSecret: clientSecret, TokenURL: s.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
	}, resource)
}

func (s *authorizationServer) token(transport http.RoundTripper, config clientcredentials.Config, resource string) (*oauth2.Token, error) {
	config.Scopes = []string{"orders.read"}
	config.EndpointParams = url.Values{"resource": {resource}}
	return config.Token(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport}))
}

// transport trusts the test's authority, and presents the client's certificate, if there is one.
func (s *authorizationServer) transport(client *popauthtest.Client) *http.Transport {
	config := &tls.Config{RootCAs: s.ca.Pool()}
	if client != nil {
		// Whatever authorities the server names: a thief tries.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.Certificate, nil }
	}
	t := &http.Transport{TLSClientConfig: config}
	s.Cleanup(t.CloseIdleConnections)
	return t
}

// keys are the provider's, found by discovery.
func (s *authorizationServer) keys(change ...func(*popauth.RemoteKeysOptions)) *popauth.RemoteKeys {
	s.Helper()
	o := popauth.RemoteKeysOptions{Issuer: s.issuer, Client: &http.Client{Transport: s.transport(nil)}}
	for _, c := range change {
		c(&o)
	}
	keys, err := popauth.NewRemoteKeys(o)
	if err != nil {
		s.Fatal(err)
	}
	return keys
}
