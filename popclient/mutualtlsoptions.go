package popclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// MutualTLSOptions configure MutualTLS.
type MutualTLSOptions struct {
	_ [0]func()

	// Issuer is the authorization server: its metadata (RFC 8414, or of OpenID Connect), whose issuer must be this to
	// the letter, names the token endpoint. The one in mtls_endpoint_aliases comes first (RFC 8705, section 5). Either
	// Issuer or TokenURL must be set.
	Issuer string

	// TokenURL is the token endpoint itself, for an authorization server without metadata.
	TokenURL string

	// ClientID is what the client is registered as. It is required, and sent in the body of the token request.
	ClientID string

	// Certificate returns the client's certificate as it is now: leaf first, with the key, which may be any
	// crypto.Signer. It is required. NewMutualTLS asks it, and it is asked beside a request when ten seconds have passed
	// since, but not before it has returned; one that hangs is waited for no longer than Timeout. It must return the same as
	// before if nothing is new, and may be called from several goroutines.
	// [StaticCertificate], [CertificateFiles], [CertificateFile] and [CertificatePKCS12] make such functions.
	Certificate func(context.Context) (*tls.Certificate, error)

	// Authentication is how the client authenticates at the token endpoint, if not by Certificate, which then is what the
	// tokens are bound to, or presented all the same with Key (RFC 8705, section 3 without section 2; FAPI 2.0). If nil, by
	// the certificate.
	Authentication ClientAuthentication

	// Scopes are asked for. If nil, the authorization server decides.
	Scopes []string

	// Resources are the APIs that the token is for (RFC 8707): absolute URIs without fragment. There are servers that ignore
	// them without a word, such as Keycloak: Logger is told if a token that is a JWT has another aud. Configure the audience at
	// the server then, as Keycloak's audience mapper does, and leave Resources out.
	Resources []string

	// Params are further parameters of the token request, such as audience.
	Params url.Values

	// Key, if not nil, is what the tokens are bound to, by DPoP, instead of the certificate, which then authenticates
	// the client at the token endpoint, unless Authentication does, and is presented to the API all the same. An algorithm
	// that the Issuer's metadata doesn't list is an error of the first fetch: GenerateKeyFor makes a key by that list.
	Key *Key

	// Origins lists what the tokens are meant for, as in [DPoP]: scheme, host and port. A request to any other is an
	// error. If nil, every origin that a caller makes a request to.
	Origins []string

	// BearerAliases are further names that the authorization server has for the token type Bearer, such as BearerToken
	// (Apigee). There are none for DPoP: with Key, they are an error. If nil, none.
	BearerAliases []string

	// RootCAs verify the authorization server and the API. If nil, those of Transport, and else the system's.
	RootCAs *x509.CertPool

	// ServerIDs are SPIFFE IDs by the names of hosts in lower case and ASCII, without port, of servers that have them in place of host
	// names: {"orders.internal": "spiffe://example.org/orders"}. The certificate of such a host must have that ID as its only
	// URI, and a chain to ServerRoots; its other names and RootCAs don't count. Each handshake is verified so, one that resumes a
	// session too. All other hosts are verified by their names as before, and none can be called by an IP address then. If nil, all
	// are verified by their names.
	ServerIDs map[string]string

	// ServerRoots finds the roots for the certificate of a host in ServerIDs, at each handshake: clientcert.Bundles and
	// clientcert.RootsFile make such functions. The request is an empty one. It is required with ServerIDs. An open connection
	// is used until it is closed, whatever is withdrawn meanwhile: CloseIdleConnections has the next one verified.
	ServerRoots func(*http.Request, *x509.Certificate) (*x509.CertPool, error)

	// Transport is copied for each certificate: its proxy, timeouts, limits and TLS settings apply. TLS is never below
	// 1.2. It must not dial TLS itself, nor skip the verification of servers. If nil, http.DefaultTransport.
	Transport *http.Transport

	// Wrap is put around what sends the requests of a certificate, to the authorization server and to the API, for traces and
	// logs. It sees each request as it is sent, also one that is repeated, with its token and the client's secret, and must return
	// the answers as they come. It is called for each new certificate. If nil, nothing is put around.
	Wrap func(http.RoundTripper) http.RoundTripper

	// Timeout bounds one fetch of a token, metadata included, one wait for Certificate, and one signature by a key of the
	// certificate that is not in memory. If zero, 10 s.
	Timeout time.Duration

	// Logger gets what doesn't make a request fail: a new certificate, one that can't be read, a token that can't be
	// renewed yet. It is written to beside the requests; of one that hangs, what comes after 64 lines is lost. If nil, nothing
	// is logged.
	Logger *slog.Logger
}

// reserved are the parameters that come from elsewhere, or that would be another way of authentication.
var reserved = []string{"grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "scope", "resource"}

// NewMutualTLS asks for the certificate, and makes no request. The error lists every problem of the options.
func NewMutualTLS(o MutualTLSOptions) (*MutualTLS, error) {
	m := &MutualTLS{options: o}
	var wrong []error
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("popclient: MutualTLSOptions"+format, args...))
	}
	var err error
	switch {
	case (o.Issuer == "") == (o.TokenURL == ""):
		problem(": either Issuer or TokenURL must be set")
	case o.TokenURL != "":
		if _, err = discovery.ParseURL(o.TokenURL, discovery.NoHTTP); err != nil {
			problem(".TokenURL: %w", err)
		}
	default:
		if m.issuer, err = discovery.NewIssuer(o.Issuer, discovery.NoHTTP); err != nil {
			problem(".Issuer: %w", err)
		}
	}
	if o.ClientID == "" {
		problem(".ClientID: empty")
	}
	if o.Authentication != nil {
		if m.authenticate, err = completed(o.Authentication, o.ClientID, o.Issuer, &m.secrets); err != nil {
			problem(".Authentication: %w", err)
		}
		m.options.Authentication = nil // its secret is in the function, where nobody prints it
	}
	if slices.ContainsFunc(o.Scopes, func(s string) bool { return s == "" || strings.ContainsFunc(s, notNQCHAR) }) {
		problem(".Scopes: one is empty or has a character that scopes don't have") // RFC 6749, section 3.3
	}
	for i, s := range o.Resources {
		if u, err := url.Parse(s); err != nil || !u.IsAbs() || u.Fragment != "" || strings.HasSuffix(s, "#") {
			problem(".Resources: entry %d is not an absolute URI without fragment", i) // RFC 8707, section 2
		}
	}
	for name := range o.Params {
		if slices.Contains(reserved, name) {
			problem(".Params: %q has to come from elsewhere: ClientID, Authentication, Scopes and Resources", name)
		}
	}
	if o.Key != nil && o.Key.signer == nil {
		problem(".Key: %w", errKey)
	}
	if o.Key != nil && len(o.BearerAliases) > 0 {
		problem(".BearerAliases: with Key, tokens have to be of the type DPoP, which has no other name")
	}
	if slices.ContainsFunc(o.BearerAliases, func(s string) bool { return s == "" || strings.EqualFold(s, scheme) }) {
		problem(".BearerAliases: one is empty or DPoP")
	}
	if m.origins, err = readOrigins("MutualTLSOptions", o.Origins); err != nil {
		wrong = append(wrong, err)
	}
	if err = checkTransport(o.Transport); err != nil {
		problem(".Transport: %w", err)
	}
	m.serverIDs = newServerIDs(&o, problem)
	if o.Timeout < 0 {
		problem(".Timeout: negative")
	}
	if o.Timeout == 0 {
		m.options.Timeout = 10 * time.Second
	}
	m.journal.logger = o.Logger
	var first *tls.Certificate
	if o.Certificate == nil {
		problem(".Certificate: nil, want a source of it such as CertificateFiles; a client without one uses DPoP with Proofs")
	} else {
		if first, err = m.firstCertificate(); err != nil {
			problem(".Certificate: %w", err)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	m.own(o)
	m.stranger = m.newTransport(nil)
	m.asked, m.current = time.Now(), m.newGeneration(first)
	return m, nil
}

// own keeps what a caller may go on to change.
func (m *MutualTLS) own(o MutualTLSOptions) {
	m.options.Scopes = slices.Clone(o.Scopes)
	m.options.BearerAliases = slices.Clone(o.BearerAliases)
	m.options.Params = url.Values{}
	for name, values := range o.Params {
		m.options.Params[name] = slices.Clone(values)
	}
	if len(o.Resources) > 0 {
		m.options.Params["resource"] = slices.Clone(o.Resources)
	}
	if o.RootCAs != nil {
		m.options.RootCAs = o.RootCAs.Clone()
	}
	if o.Transport != nil {
		m.options.Transport = o.Transport.Clone()
	}
}
