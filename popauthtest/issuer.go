package popauthtest

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

const (
	openIDPath = "/.well-known/openid-configuration"
	oauthPath  = "/.well-known/oauth-authorization-server"
	jwksPath   = "/jwks"

	introspectionPath = "/introspect"
)

// Issuer is an authorization server as far as an API sees it: discovery documents, a JWKS and introspection on a real
// TLS listener, and tokens. It has no token endpoint until [Issuer.Handle] gives it one. Make one with [NewIssuer].
type Issuer struct {
	URL    string           // the exact iss, without trailing slash: https://127.0.0.1:port
	Server *httptest.Server // what serves it, as in [NewServer]: owner.HTTP(issuer.Server) reaches it with a certificate

	// Now is the clock for iat and exp. If nil, it is time.Now.
	Now func() time.Time

	// Metadata adds members to the discovery documents, replaces them, or leaves them out ([Omit]).
	Metadata Claims

	tb         TB
	algorithms []string // the first is the default; in the JWKS from the start

	mu      sync.Mutex
	keys    []*signingKey
	routes  map[string]http.Handler
	mux     *http.ServeMux
	fetches int

	opaque         map[string]Claims // what introspection answers
	introspections int
}

// NewIssuer starts an issuer. It signs with the first of the algorithms unless told otherwise, and the keys of all are
// in its JWKS from the start; if none is given, they are ES256, ES384 and EdDSA. A key for any other joins the JWKS
// when first used, which an API that has read the JWKS before learns only from its next fetch: a test that goes through
// several algorithms names them here. Those for RSA (RS256, PS256, …) take about a tenth of a second. The issuer is
// closed when the test ends.
func NewIssuer(tb TB, algorithms ...string) *Issuer {
	tb.Helper()
	if len(algorithms) == 0 {
		algorithms = []string{"ES256", "ES384", "EdDSA"}
	}
	i := &Issuer{tb: tb, algorithms: slices.Clone(algorithms)}
	for pattern, h := range i.builtIn() {
		i.Handle(pattern, h)
	}
	i.JWKS() // makes the keys here, so that an algorithm that there is none for ends the test where it was named
	i.Server = NewServer(tb, http.HandlerFunc(i.serve))
	i.URL = i.Server.URL
	return i
}

// Client returns an HTTP client that trusts the issuer's certificate. It presents none of its own: [Client.HTTP] with
// [Issuer.Server] does.
func (i *Issuer) Client() *http.Client {
	return i.Server.Client()
}

// RootCAs verify the issuer's certificate, for a program that is given an issuer's URL and its authority, as by
// popauth.RemoteKeysOptions.RootCAs, introspection and popclient.
func (i *Issuer) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(i.Server.Certificate())
	return pool
}

// JWKSURL is where the JWKS is served.
func (i *Issuer) JWKSURL() string {
	return i.URL + jwksPath
}

// Fetches is the number of requests for the JWKS so far, whatever they were answered.
func (i *Issuer) Fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// Handle serves pattern, as in [http.ServeMux], by h: a token endpoint that the test brings, which sees the client's
// certificate if it sent one, or an outage of "/jwks", which is a route like any other, as are the discovery
// documents. A pattern that has a handler gets the new one; if h is nil, it is served as if there had been none. Handle
// panics where http.ServeMux does.
func (i *Issuer) Handle(pattern string, h http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h == nil {
		h = i.builtIn()[pattern]
	}
	routes := map[string]http.Handler{pattern: h}
	for p, h := range i.routes {
		if p != pattern {
			routes[p] = h
		}
	}
	// A ServeMux can't replace a handler. And it may panic: nothing is kept until it has not.
	mux := http.NewServeMux()
	for p, h := range routes {
		if h != nil {
			mux.Handle(p, h)
		}
	}
	i.routes, i.mux = routes, mux
}

// now looks at Now each time, so that whoever holds it follows a clock that is set later.
func (i *Issuer) now() time.Time {
	if i.Now != nil {
		return i.Now()
	}
	return time.Now()
}

func (i *Issuer) builtIn() map[string]http.Handler {
	return map[string]http.Handler{
		openIDPath: http.HandlerFunc(i.serveMetadata),
		oauthPath:  http.HandlerFunc(i.serveMetadata),
		jwksPath:   http.HandlerFunc(i.serveJWKS),

		introspectionPath: http.HandlerFunc(i.serveIntrospection),
	}
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	if r.URL.Path == jwksPath {
		i.fetches++
	}
	mux := i.mux
	i.mu.Unlock()
	mux.ServeHTTP(w, r)
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, marshal(i.tb, merge(Claims{
		"issuer":                                     i.URL,
		"jwks_uri":                                   i.JWKSURL(),
		"token_endpoint":                             i.URL + "/token",
		"introspection_endpoint":                     i.URL + introspectionPath,
		"grant_types_supported":                      []string{"client_credentials"},
		"response_types_supported":                   []string{},
		"subject_types_supported":                    []string{"public"},
		"id_token_signing_alg_values_supported":      i.algorithms,
		"token_endpoint_auth_methods_supported":      []string{"tls_client_auth", "self_signed_tls_client_auth"},
		"tls_client_certificate_bound_access_tokens": true,
	}, i.Metadata)))
}

func (i *Issuer) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, i.JWKS())
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a reader that has gone away is none of the issuer's business
}
