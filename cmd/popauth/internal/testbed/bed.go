// Package testbed has a throw-away issuer, certificates and an API on loopback, for people who learn what bound tokens are, and for
// tests in any language.
package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ClientID is the one client that is registered, with all of its ways to authenticate.
const ClientID = "orders-batch"

// Options are what a bed may have besides.
type Options struct {
	Nonces bool         // the API and the token endpoint ask for a nonce in each proof
	Logger *slog.Logger // gets why a request is refused
}

// Bed is what New starts. Close ends it, and removes its directory.
type Bed struct {
	Directory string            // private, with Files
	Files     map[string]string // by what they are: ca, owner-cert, owner-key, …

	stage
	issuer       *popauthtest.Issuer
	id, api      *httptest.Server
	authority    *popauthtest.CA
	owner, thief *popauthtest.Client
	key          *ecdsa.PrivateKey // of proofs
	assertion    *ecdsa.PrivateKey // of private_key_jwt
	secret       string
	jkt          string
	auth         *clientauth.Authenticator
	log          *slog.Logger

	mu   sync.Mutex
	seen map[string]bool // jti of assertions
}

// stage lets a program use popauthtest as a test does.
type stage struct{ cleanup []func() }

// fault is what ends New. A handler that fails ends its request alone, as net/http has it.
type fault struct{ error }

func (*stage) Helper()                      {}
func (s *stage) Cleanup(f func())           { s.cleanup = append(s.cleanup, f) }
func (*stage) Fatalf(f string, args ...any) { panic(fault{fmt.Errorf(f, args...)}) }

// Close removes the directory, and ends the servers. The keys go first, and connections are cut: a client that never ends its request
// would have the servers wait.
func (b *Bed) Close() error {
	var err error
	if b.Directory != "" {
		err = os.RemoveAll(b.Directory)
	}
	for _, server := range []*httptest.Server{b.id, b.api} {
		if server != nil {
			_ = server.Config.Close()
		}
	}
	for _, f := range slices.Backward(b.cleanup) {
		f()
	}
	b.cleanup = nil
	return err
}

// New starts the servers, and writes the files.
func New(o Options) (b *Bed, err error) {
	b = &Bed{log: o.Logger, seen: map[string]bool{}}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(fault)
			if !ok {
				panic(p)
			}
			err = f.error
		}
		if err != nil {
			err = errors.Join(err, b.Close())
			b = nil
		}
	}()
	if err := b.people(); err != nil {
		return b, err
	}
	if err := b.startIssuer(o); err != nil {
		return b, err
	}
	if err := b.startAPI(o); err != nil {
		return b, err
	}
	return b, b.write()
}

// people makes the authority, the owner, the thief and their keys.
func (b *Bed) people() error {
	b.authority = popauthtest.NewCA(b)
	b.owner = b.authority.Client(ClientID)
	b.thief = popauthtest.SelfSigned(b, "thief")
	var err error
	for _, key := range []**ecdsa.PrivateKey{&b.key, &b.assertion} {
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
	}
	jwk, err := publicJWK(&b.key.PublicKey)
	if err != nil {
		return err
	}
	confirmation, err := clientauth.ConfirmationJWK(jwk)
	b.jkt = confirmation.JKT
	b.secret = rand.Text()
	return err
}

func (b *Bed) serve(h http.Handler) *httptest.Server {
	return popauthtest.NewServer(b, h, func(c *tls.Config) {
		c.Certificates = []tls.Certificate{b.authority.Server()} // one authority for all: one --cacert
	})
}

func (b *Bed) startIssuer(o Options) error {
	b.issuer = popauthtest.NewIssuer(b)
	b.id = b.serve(b.issuer.Server.Config.Handler)
	b.issuer.URL = b.id.URL
	subject, err := clientauth.SubjectDN("CN=" + ClientID)
	if err != nil {
		return err
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: b.id.URL, Nonces: nonces(o)})
	if err != nil {
		return err
	}
	b.auth, err = clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{ClientID: {{Credential: subject}}},
		Endpoints: clientauth.PathPrefix("/mtls"), Roots: b.authority.Pool(), AlwaysBind: true, DPoP: proofs,
	})
	if err != nil {
		return err
	}
	b.issuer.Metadata = popauthtest.Claims{
		"mtls_endpoint_aliases": popauthtest.Claims{"token_endpoint": b.id.URL + "/mtls/token"},
		"token_endpoint_auth_methods_supported": []string{"tls_client_auth", "client_secret_basic", "client_secret_post",
			"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"ES256"},
		"dpop_signing_alg_values_supported":                proofs.Algorithms(),
	}
	token := b.auth.Handler(http.HandlerFunc(b.token))
	b.issuer.Handle("POST /token", token)
	b.issuer.Handle("POST /mtls/token", token)
	b.issuer.Handle("GET /tokens", http.HandlerFunc(b.listTokens))
	b.issuer.Handle("GET /tokens/{kind}", http.HandlerFunc(b.serveToken))
	return nil
}

// nonces are nil where nobody asks for any: an interface that holds a nil pointer is not nil.
func nonces(o Options) dpop.NonceSource {
	if !o.Nonces {
		return nil
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return &dpop.StatelessNonces{Secrets: [][]byte{secret}}
}

func (b *Bed) startAPI(o Options) error {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: b.id.URL, RootCAs: b.authority.Pool()})
	if err != nil {
		return err
	}
	proofs, err := dpop.New(dpop.Options{URL: b.called, Nonces: nonces(o)})
	if err != nil {
		return err
	}
	guard, err := popauth.New(popauth.Options{
		Issuer: b.id.URL, Audience: []string{Audience}, Keys: keys, TokenTypes: []string{"at+jwt"}, Logger: b.log,
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
	})
	if err != nil {
		return err
	}
	b.api = b.serve(popauth.RequestLine{}.Handler(routes(guard)))
	return nil
}

// called is the URL of a request by one of the API's two names, localhost and 127.0.0.1; nil where Host is another.
func (b *Bed) called(r *http.Request) *url.URL {
	u := dpop.RequestURL(r)
	api, err := url.Parse(b.api.URL)
	if u == nil || err != nil || u.Port() != api.Port() || u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
		return nil
	}
	return u
}

// Description says where everything is: it is what serve-test prints as JSON.
type Description struct {
	Issuer        string            `json:"issuer"`
	API           string            `json:"api"`
	Audience      string            `json:"audience"`
	TokenEndpoint string            `json:"token_endpoint"`
	CertEndpoint  string            `json:"mtls_token_endpoint"`
	ClientID      string            `json:"client_id"`
	Thumbprint    string            `json:"x5t#S256"`
	JKT           string            `json:"jkt"`
	Directory     string            `json:"directory"`
	Files         map[string]string `json:"files"`
	Tokens        map[string]string `json:"tokens"`
}

// Describe says where everything is.
func (b *Bed) Describe() Description {
	d := Description{
		Issuer: b.id.URL, API: b.api.URL, Audience: Audience, TokenEndpoint: b.id.URL + "/token", CertEndpoint: b.id.URL + "/mtls/token",
		ClientID: ClientID, Thumbprint: b.owner.Thumbprint(), JKT: b.jkt, Directory: b.Directory, Files: b.Files,
		Tokens: map[string]string{},
	}
	for name := range b.kinds() {
		d.Tokens[name] = b.id.URL + "/tokens/" + name
	}
	return d
}

// thumbprint is the SHA-256 of nothing, which no certificate has.
func thumbprint() string {
	b, _ := hex.DecodeString("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	return base64.RawURLEncoding.EncodeToString(b)
}
