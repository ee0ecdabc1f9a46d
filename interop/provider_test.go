package interop_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
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

// algorithms are those that an API can have its JWTs signed with: structured, with the algorithm as path.
var algorithms = []string{"ES256", "ES384", "ES512", "Ed25519", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

type object map[string]any

// provider is an oidc-provider, and who is registered there.
type provider struct {
	testing.TB
	*node
	issuer   string
	ports    [2]int // without and with client certificates
	metadata metadata

	ca     *popauthtest.CA
	server tls.Certificate

	// The clients whose tokens are bound to their certificates, by how they authenticate.
	byDN, bySAN, selfSigned *popauthtest.Client

	// The APIs that may ask about tokens, beside the one with a secret.
	apiByCertificate *popauthtest.Client
	apiByKey         crypto.Signer
}

type metadata struct {
	TokenEndpoint      string `json:"token_endpoint"`
	RevocationEndpoint string `json:"revocation_endpoint"`
	Aliases            struct {
		TokenEndpoint string `json:"token_endpoint"`
	} `json:"mtls_endpoint_aliases"`
}

// newProvider starts one with these keys; if there are none, it has one of its own.
func newProvider(tb testing.TB, keys ...signingKey) *provider {
	tb.Helper()
	p := &provider{TB: tb, ca: popauthtest.NewCA(tb)}
	p.server = p.ca.Server()
	p.byDN = p.ca.Client("by-dn", ofOrders)
	p.bySAN = p.ca.Client("by-san", func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/orders"}}
	})
	p.apiByCertificate, p.apiByKey = p.ca.Client("api-by-certificate"), newKey(tb)
	p.selfSigned = popauthtest.SelfSigned(tb, "self-signed")
	if len(keys) == 0 {
		keys = []signingKey{newSigningKey(tb, "1")}
	}
	p.start(keys...)
	return p
}

func ofOrders(c *x509.Certificate) { c.Subject.Organization = []string{"Orders"} }

// namesakeOf is a certificate like that of by-dn, of an authority that the provider doesn't know.
func namesakeOf(tb testing.TB) *popauthtest.Client {
	return popauthtest.NewCA(tb).Client("by-dn", ofOrders)
}

// start starts the provider, again where it was. It has forgotten the tokens that are not JWTs.
func (p *provider) start(keys ...signingKey) {
	p.Helper()
	if p.node != nil {
		p.end()
	}
	resources := object{
		opaque:             object{"accessTokenFormat": "opaque"},
		opaque + "/second": object{"accessTokenFormat": "opaque"},
	}
	for _, alg := range algorithms {
		resources[structured+"/"+alg] = object{"accessTokenFormat": "jwt", "jwt": object{"sign": object{"alg": alg}}}
	}
	resources[structured] = resources[structured+"/ES256"]
	nonces := make([]byte, 32)
	rand.Read(nonces)
	certificate, key := pems(p, p.server)
	p.node = run(p.TB, "server.mjs", object{
		"tls":       object{"cert": certificate, "key": key},
		"roots":     string(p.ca.PEM()),
		"ports":     p.ports,
		"keys":      keys,
		"secret":    base64.StdEncoding.EncodeToString(nonces),
		"clients":   p.registrations(),
		"resources": resources,
	})
	var ready struct {
		Issuer string
		Ports  [2]int
	}
	p.read(&ready)
	p.issuer, p.ports = ready.Issuer, ready.Ports

	client := &http.Client{Transport: p.transport(nil)}
	resp, err := client.Get(p.issuer + "/.well-known/openid-configuration")
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&p.metadata); err != nil {
		p.Fatal(err)
	}
}

// bound is a token for a client that authenticates by certificate, and that is bound to it.
func (p *provider) bound(client *popauthtest.Client, id, resource string) (*oauth2.Token, error) {
	return p.token(p.transport(client), clientcredentials.Config{
		ClientID: id, TokenURL: p.metadata.Aliases.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams,
	}, resource)
}

// obtain is a token for by-dn.
func (p *provider) obtain(resource string) string {
	p.Helper()
	token, err := p.bound(p.byDN, "by-dn", resource)
	if err != nil {
		p.Fatal(err)
	}
	return token.AccessToken
}

// boundTo is a token that is bound to a key by DPoP.
func (p *provider) boundTo(key *popclient.Key, resource string) (*oauth2.Token, error) {
	return p.token(&popclient.Proofs{Key: key, Base: p.transport(nil)}, clientcredentials.Config{
		ClientID: "by-key", ClientSecret: clientSecret, TokenURL: p.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
	}, resource)
}

// unbound is a bearer token.
func (p *provider) unbound(resource string) (*oauth2.Token, error) {
	return p.token(p.transport(nil), clientcredentials.Config{
		ClientID: "unbound", ClientSecret: clientSecret, TokenURL: p.metadata.TokenEndpoint, AuthStyle: oauth2.AuthStyleInHeader,
	}, resource)
}

func (p *provider) token(transport http.RoundTripper, config clientcredentials.Config, resource string) (*oauth2.Token, error) {
	config.Scopes = []string{"orders.read"}
	config.EndpointParams = url.Values{"resource": {resource}}
	return config.Token(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: transport}))
}

// transport trusts the test's authority, and presents the client's certificate, if there is one.
func (p *provider) transport(client *popauthtest.Client) *http.Transport {
	config := &tls.Config{RootCAs: p.ca.Pool()}
	if client != nil {
		// Whatever authorities the server names: a thief tries.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.Certificate, nil }
	}
	t := &http.Transport{TLSClientConfig: config}
	p.Cleanup(t.CloseIdleConnections)
	return t
}

// keys are the provider's, found by discovery.
func (p *provider) keys(change ...func(*popauth.RemoteKeysOptions)) *popauth.RemoteKeys {
	p.Helper()
	o := popauth.RemoteKeysOptions{Issuer: p.issuer, Client: &http.Client{Transport: p.transport(nil)}}
	for _, c := range change {
		c(&o)
	}
	keys, err := popauth.NewRemoteKeys(o)
	if err != nil {
		p.Fatal(err)
	}
	return keys
}

// signingKey is a key of the provider's.
type signingKey struct {
	KID string `json:"kid"`
	Alg string `json:"alg,omitempty"` // "" for each that fits
	PEM string `json:"pem"`
}

func newSigningKey(tb testing.TB, kid string) signingKey {
	tb.Helper()
	return signingKey{kid, "ES256", keyPEM(tb, newKey(tb))}
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func proofKey(tb testing.TB, signer crypto.Signer) *popclient.Key {
	tb.Helper()
	key, err := popclient.NewKey(signer, "ES256")
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// pems are a certificate with its chain, and its key.
func pems(tb testing.TB, c tls.Certificate) (certificate, key string) {
	tb.Helper()
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(chain), keyPEM(tb, c.PrivateKey)
}

func keyPEM(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
