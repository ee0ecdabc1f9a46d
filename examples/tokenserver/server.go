package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
)

const (
	authorizationServerMetadata = "/.well-known/oauth-authorization-server" // RFC 8414, section 3
	tokenPath                   = "/token"
	keysPath                    = "/jwks"
)

type serverOptions struct {
	issuer      string
	endpoints   clientauth.Endpoints
	clients     clients
	authorities *x509.CertPool
	signer      *signer
	lifetime    time.Duration
	nonces      bool
	logger      *slog.Logger
	now         func() time.Time // nil: time.Now

	// issuing takes the place of zitadel/oidc, for tests that look at what reaches it.
	issuing http.Handler
}

// server is the token server. Its handlers authenticate clients; the library has the rest.
type server struct {
	serverOptions
	http.Handler
	auth     *clientauth.Authenticator
	metadata metadata
}

// metadata is the document of RFC 8414, section 2, which serves as that of OpenID Connect Discovery too.
type metadata struct {
	Issuer        string   `json:"issuer"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	GrantTypes    []string `json:"grant_types_supported"`
	ResponseTypes []string `json:"response_types_supported"`
	clientauth.Metadata
}

func newServer(o serverOptions) (*server, error) {
	if o.now == nil {
		o.now = time.Now
	}
	settings := dpop.Options{URL: dpop.RequestURL} // TLS ends here, and the endpoints for certificates may have a host of their own
	if o.nonces {
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		settings.Nonces = dpop.StatelessNonces{Secrets: [][]byte{secret}}
	}
	proofs, err := dpop.New(settings)
	if err != nil {
		return nil, err
	}
	auth, err := clientauth.New(clientauth.Options{
		Clients: o.clients, Endpoints: o.endpoints, Roots: o.authorities, Certificate: popauth.TLSCertificate(),
		AlwaysBind: true, DPoP: proofs, Now: o.now,
	})
	if err != nil {
		return nil, err
	}
	added, err := auth.Metadata(o.issuer, clientauth.EndpointURLs{Token: tokenPath})
	if err != nil {
		return nil, err
	}
	added.TokenMethods = append(added.TokenMethods, "client_secret_basic", "client_secret_post")
	s := &server{serverOptions: o, auth: auth, metadata: metadata{
		Issuer: o.issuer, Token: o.issuer + tokenPath, Keys: o.issuer + keysPath,
		GrantTypes: []string{string(oidc.GrantTypeClientCredentials)}, ResponseTypes: []string{}, Metadata: added,
	}}
	library := o.issuing
	if library == nil {
		library = op.RegisterServer(&provider{server: s},
			op.Endpoints{Token: op.NewEndpoint(tokenPath), JwksURI: op.NewEndpoint(keysPath)},
			op.WithFallbackLogger(o.logger), op.WithServerCORSOptions(nil))
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+keysPath, library)
	mux.HandleFunc("GET "+authorizationServerMetadata, s.describe)
	mux.Handle(tokenPath, s.authenticate(library))
	s.Handler = auth.Handler(mux)
	return s, nil
}

func (s *server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.metadata)
}

// grant is authenticate's result for a request.
type grant struct {
	client *client
	cnf    clientauth.Confirmation
}

type grantKey struct{}

func grantOf(ctx context.Context) (*grant, bool) {
	g, ok := ctx.Value(grantKey{}).(*grant)
	return g, ok
}

// authenticate stands between clientauth and a library. A refused request never reaches the library; an accepted one has
// the client in its context, however the library reads the form.
func (s *server) authenticate(library http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store") // RFC 6749, section 5.1, and for errors too
		g, err := s.grant(w.Header(), r)
		if err != nil {
			s.logger.Warn("refused", "error", err)
			clientauth.WriteError(w, err)
			return
		}
		library.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, g)))
	})
}

func (s *server) grant(h http.Header, r *http.Request) (*grant, error) {
	if err := checkForm(r); err != nil {
		return nil, err
	}
	g, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	// A proof takes the place of the certificate, which then has only authenticated the client.
	key, err := s.auth.Proof(h, r)
	if err != nil {
		return nil, err
	}
	if key != (clientauth.Confirmation{}) {
		g.cnf = key
	}
	switch {
	case g.client.BindToKey && g.cnf.JKT == "":
		return nil, clientauth.ErrProofMissing
	case g.client.BindToCertificate && g.cnf == (clientauth.Confirmation{}):
		return nil, clientauth.ErrCertificateMissing
	}
	return g, nil
}

// identify authenticates the client by certificate or by secret: never by both, and only as it is registered.
func (s *server) identify(r *http.Request) (*grant, error) {
	found, err := s.auth.Authenticate(r)
	switch {
	case err == nil:
		c, ok := s.clients[found.ID]
		if !ok {
			return nil, clientauth.ErrClientUnknown
		}
		return &grant{c, found.Confirmation()}, nil
	case !errors.Is(err, clientauth.ErrOtherMethod):
		return nil, err
	}
	id, secret, refusal := readSecret(r)
	if refusal != nil {
		return nil, refusal
	}
	c, ok := s.clients[id]
	if !ok || !c.knows(secret, s.now()) {
		return nil, err // has the challenge for the scheme that was used
	}
	g := &grant{client: c}
	if c.BindToCertificate {
		g.cnf = s.auth.Confirmation(r)
	}
	return g, nil
}
