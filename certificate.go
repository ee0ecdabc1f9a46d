package popauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// Certificate is the X.509 certificate of a request's caller, as its CertificateSource found it.
type Certificate struct {
	// Leaf is the caller's own certificate. It must not be modified. It is nil for one that crypto/x509 can't parse though
	// OpenSSL or a proxy has: such a one confirms what a token is bound to, and is never an identity. DER has it then.
	Leaf *x509.Certificate

	// Intermediates are the further certificates that were sent along, in the order sent; they prove nothing.
	Intermediates []*x509.Certificate

	// Thumbprint is that of the caller's own certificate, as in the cnf member x5t#S256. What a source of your own writes here
	// is ignored: it is computed from the bytes.
	Thumbprint string

	// Source names where the certificate was found: SourceTLS, or the name of a proxy's format.
	Source Source

	// Chain is the way from Leaf to a root by which it was verified, both ends included, so that a PolicyFunc can tell
	// whose it is: where there are several ways, the first that nothing speaks against. It is nil unless this server's TLS
	// stack or popauth has verified one.
	Chain []*x509.Certificate

	// Verified says who has verified the chain. That a token is bound to a certificate can be confirmed without; an
	// identity that is taken from the certificate needs it. Where the TLS stack or a proxy has verified it and its period
	// has ended since, it is NotVerified.
	Verified VerifiedBy

	// SharedRoots says that the roots by which the chain was verified are one pool for every name, and not those of one SPIFFE
	// trust domain or tenant: each of them may vouch for any name. A source that verifies by such a pool sets it, and
	// clientcert.SPIFFE refuses the certificate then. What the TLS stack verifies always is by one pool, ClientCAs, without it.
	SharedRoots bool

	hashed   *certname.Hash // nil if it has not been hashed
	der      []byte         // of a certificate without Leaf
	cause    error          // why there is no Leaf
	standing *standing      // by the TLS stack's verification, until it is first needed: Verified and Chain are not set then
	withheld *Error         // why what somebody has verified is no identity; nil if it is
	hosted   bool           // by the TLS stack's verification it is an identity for the connection's server name alone
}

// Source names the place a certificate was found in, for logs.
type Source string

// SourceTLS is the connection's own TLS handshake.
const SourceTLS Source = "tls"

// VerifiedBy says who has verified a certificate's chain. The zero value is NotVerified.
type VerifiedBy int

// Who has verified a chain.
const (
	NotVerified     VerifiedBy = iota // nobody: the caller holds the key and has said its name itself
	VerifiedByTLS                     // this server's TLS stack, against its ClientCAs
	VerifiedByProxy                   // a trusted proxy, which said so
	VerifiedLocally                   // popauth, after the handshake
)

// String returns "no", "tls", "proxy" or "local".
func (v VerifiedBy) String() string {
	switch v {
	case VerifiedByTLS:
		return "tls"
	case VerifiedByProxy:
		return "proxy"
	case VerifiedLocally:
		return "local"
	}
	return "no"
}

// CertificateSource finds the certificate of a request's caller. One that wraps another, to log or to count, can embed
// the interface: both methods are then the other's, and so its headers are removed and its errors reported as before.
// CertificateFunc makes one of a function.
type CertificateSource interface {
	// Certificate has three outcomes: a certificate, none (nil, nil), and an error, which refuses the request: what can't
	// be read is never taken for none. An error should wrap a Reason; one that does not is answered like
	// ErrCertificateMalformed. The request is as the client or its proxy has sent it. Thumbprint is filled in by popauth.
	Certificate(*http.Request) (*Certificate, error)

	// Headers names the headers that Certificate reads, a proxy's secret included; none if it reads none. They are
	// removed from the request before anybody else sees it. The error is what is wrong with the source's configuration:
	// New returns it, ClientCertificate panics with it, and every request is refused where nobody has checked it.
	Headers() ([]string, error)
}

// CertificateFunc is a source that finds certificates by a function, which reads these headers and no other.
func CertificateFunc(find func(*http.Request) (*Certificate, error), headers ...string) CertificateSource {
	return funcSource{find, slices.Clone(headers)}
}

type funcSource struct {
	find    func(*http.Request) (*Certificate, error)
	headers []string
}

// Certificate implements CertificateSource.
func (s funcSource) Certificate(r *http.Request) (*Certificate, error) {
	if s.find == nil {
		return nil, ErrUnconfigured
	}
	return s.find(r)
}

// Headers implements CertificateSource.
func (s funcSource) Headers() ([]string, error) {
	if s.find == nil {
		return nil, errors.New("popauth: CertificateFunc: nil function")
	}
	return slices.Clone(s.headers), nil
}

// CheckIdentity returns nil if somebody has verified the certificate, so that it may say who the caller is, or an *Error
// that says why not: also if it has expired on a connection that lasts. That a token is bound to the certificate needs no
// identity.
func (c *Certificate) CheckIdentity() error {
	if c == nil {
		return &Error{Reason: ErrCertificateRequired}
	}
	if e := c.refusal(time.Now()); e != nil {
		return e
	}
	return nil
}

// TLSCertificate is the certificate that the caller presented in the TLS handshake of the request's connection.
// The server's tls.Config.ClientAuth must at least be tls.RequestClientCert, else there is never one.
//
// If the TLS stack has verified it, it is an identity (VerifiedByTLS) on two conditions; without them it still confirms
// what a token is bound to. The name constraints of its authorities permit all its names: those for directory names
// too, which crypto/x509 leaves out. And the connection's server name (SNI) is the request's host: a server may verify
// against other authorities for each name, but a request says its host itself. Otherwise the refusal is ErrMisdirected,
// 421, and the caller may try again over another connection. A connection without a server name is for a host that is
// an IP address, and a client that sends none, as some do for names without a dot, gets 421 at any other:
// TLSCertificateAnyHost is for those. A session that is resumed brings the identity of its first handshake. Where
// GetConfigForClient returns other configs for other names, crypto/tls resumes the sessions of one at the other, so call
// OwnSessions on each of them, or set SessionTicketsDisabled. An identity ends with the certificate's period, though the
// connection may last: a new request is refused with 403 then, and the connection closed, so that the caller can show the
// certificate that it has meanwhile.
//
// The first request of a connection that takes the identity pays for reading the names, which is bounded: too many
// names, or constraints, for less than three verifications of a signature are refused. What the handshake itself costs is up
// to crypto/tls, which checks as many as a hundred signatures for a chain where it verifies. A certificate of more than
// 16 KiB is refused with 431 and ErrCertificateTooLarge.
func TLSCertificate() CertificateSource { return tlsSource{memory: newCertificateMemory()} }

// TLSCertificateAnyHost is TLSCertificate without the condition on the host, for a server with one tls.Config.ClientCAs
// for all its names, whose callers send another server name or none. Danger: where ClientCAs differs by server name, as
// with GetConfigForClient, whoever has a certificate for one name is let in at all others by it.
func TLSCertificateAnyHost() CertificateSource {
	return tlsSource{memory: newCertificateMemory(), anyHost: true}
}

// tlsSource hashes a certificate for each request if its memory is nil.
type tlsSource struct {
	memory  *certificateMemory
	anyHost bool
}

// Certificate implements CertificateSource.
func (s tlsSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := s.shared(r)
	return c.at(time.Now()).clone(), err
}

// Headers implements CertificateSource: it reads none.
func (tlsSource) Headers() ([]string, error) { return nil, nil }

func (s tlsSource) shared(r *http.Request) (*Certificate, error) {
	if r.TLS == nil || !r.TLS.HandshakeComplete || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	if e := tooLarge(r.TLS.PeerCertificates[0].Raw); e != nil {
		return nil, e
	}
	// With tls.RequestClientCert and tls.RequireAnyClientCert nobody has verified the chain.
	k := s.memory.find(handshake{sent: r.TLS.PeerCertificates, chains: r.TLS.VerifiedChains}, !s.anyHost)
	if k.certificate.standing != nil && !s.anyHost && !serves(r.TLS.ServerName, r.Host) {
		return k.at(r.TLS.ServerName, r.Host), nil
	}
	return k.certificate, nil
}

// serves tells whether a connection that was made for a server name is one for the host. Clients send no server name for
// an IP address (RFC 6066, section 3).
func serves(server, host string) bool {
	i := strings.LastIndexByte(host, ':')
	if i > 0 && strings.Trim(host[i+1:], "0123456789") == "" && (host[i-1] == ']' || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	if server != "" {
		return certname.SameHost(server, host) // one with another colon or a bracket is no server name
	}
	if literal, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(literal, "]")
		if !ok {
			return false
		}
	}
	_, err := netip.ParseAddr(host)
	return err == nil || host == ""
}

// Thumbprint returns the value of the cnf member x5t#S256 for a certificate: the SHA-256 of its DER form as it was
// received, in base64url without padding (RFC 8705, section 3.1).
func Thumbprint(c *x509.Certificate) string {
	return certname.Thumbprint(sha256.Sum256(c.Raw))
}

// NewCertificate makes a Certificate for a CertificateSource of your own, from the DER forms of the caller's own
// certificate and of the further ones that were sent along. Nobody has verified it yet.
//
// One that crypto/x509 can't parse, such as one with a negative serial number, is a certificate all the same: OpenSSL and
// many a proxy accept it in a handshake, and a token may be bound to it. It has no Leaf, so it is never an identity. An
// intermediate of that kind is left out. What isn't even a SEQUENCE with the three parts of a certificate and nothing
// behind it is refused with ErrCertificateMalformed, and one of more than 16 KiB with ErrCertificateTooLarge.
func NewCertificate(source Source, leaf []byte, intermediates ...[]byte) (*Certificate, error) {
	c := &Certificate{Source: source}
	own, err := wholeDER(leaf)
	if err != nil {
		return nil, err
	}
	if c.Leaf, err = x509.ParseCertificate(own); err != nil {
		c.der, c.cause = own, err
	}
	for _, raw := range intermediates {
		own, err := wholeDER(raw)
		if err != nil {
			return nil, err
		}
		if i, err := x509.ParseCertificate(own); err == nil {
			c.Intermediates = append(c.Intermediates, i)
		}
	}
	c.hash()
	return c, nil
}

// wholeDER returns a copy of what is one certificate, as far as can be told without reading what it says.
func wholeDER(b []byte) ([]byte, error) {
	if e := tooLarge(b); e != nil {
		return nil, e
	}
	outer := cryptobyte.String(b)
	var parts cryptobyte.String
	if !outer.ReadASN1(&parts, der.SEQUENCE) || !outer.Empty() || !parts.SkipASN1(der.SEQUENCE) ||
		!parts.SkipASN1(der.SEQUENCE) || !parts.SkipASN1(der.BIT_STRING) || !parts.Empty() {
		return nil, &Error{Reason: ErrCertificateMalformed, Err: errors.New("not the DER form of one X.509 certificate, and nothing else")}
	}
	return bytes.Clone(b), nil
}

// tooLarge refuses what nobody needs: of a larger certificate no name is read, nor is it hashed.
func tooLarge(leaf []byte) *Error {
	if len(leaf) <= certname.MaxCertificate {
		return nil
	}
	return &Error{Reason: ErrCertificateTooLarge, Err: fmt.Errorf("%d bytes, want %d at most", len(leaf), certname.MaxCertificate)}
}

// DER returns the DER form of the caller's own certificate as it was received, which is there without Leaf, too.
func (c *Certificate) DER() []byte { return bytes.Clone(c.raw()) }

// raw is Leaf's if there is one: a source of somebody else's may have put another there.
func (c *Certificate) raw() []byte {
	switch {
	case c == nil:
		return nil
	case c.Leaf != nil:
		return c.Leaf.Raw
	}
	return c.der
}

// unparsed says why there is no Leaf.
func (c *Certificate) unparsed() error {
	if c.cause == nil {
		return errNoContent
	}
	return fmt.Errorf("certificate that Go can't parse: %w; it confirms what a token is bound to, and has no names: "+
		"for an identity the authority has to issue it anew", c.cause)
}

var errNoContent = errors.New("a source's certificate without content: it needs a Leaf with Raw, or NewCertificate")

// complete refuses what no request can be judged by.
func (c *Certificate) complete() error {
	if len(c.raw()) == 0 || slices.Contains(c.Intermediates, nil) || slices.Contains(c.Chain, nil) {
		return &Error{Reason: ErrCertificateMalformed, Err: errNoContent}
	}
	if e := tooLarge(c.raw()); e != nil {
		return e
	}
	return nil
}
