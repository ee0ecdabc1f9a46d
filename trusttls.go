package popauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	weakly "weak" // the package has a weak of its own

	"github.com/seed-171ab058/popauth/internal/certname"
)

// ProxyIdentity is what a proxy's own TLS certificate must say: exactly one of URI, DNS and Key, and for URI and DNS
// whose word counts for it.
type ProxyIdentity struct {
	// URI is one of the certificate's URI SANs to the letter, such as a SPIFFE ID.
	URI string

	// DNS is one of its DNS SANs, in any case; a wildcard matches only itself.
	DNS string

	// Key is the SHA-256 of its public key (SubjectPublicKeyInfo), in standard base64, as in RFC 7469, section 2.4.
	Key string

	// Roots are the authorities that may give a certificate the name in URI or DNS. popauth verifies the chain itself, once
	// for a connection, until a certificate of the chain expires: it does not matter which others tls.Config.ClientCAs has for
	// callers that come directly.
	Roots *x509.CertPool

	// AnyAuthority takes the name from any authority of tls.Config.ClientCAs, at whatever server name, in place of Roots:
	// for a pool that changes while the server runs. Danger: if ClientCAs has another authority than the proxy's, such as
	// one for customers, each of its certificates with that name is the proxy, and may say who it likes.
	AnyAuthority bool
}

// TrustProxyTLS trusts connections on which the proxy has presented its own TLS certificate, with one of these
// identities. A URI or DNS name is worth what its authority is: it needs Roots or AnyAuthority. With Roots the server
// need not verify: tls.RequestClientCert is enough. With AnyAuthority set tls.Config.ClientCAs and at least
// tls.VerifyClientCertIfGiven. A Key speaks for itself.
//
// The connection's server name and the request's host are not compared: a proxy that passes the host on has made its
// connection for another name.
func TrustProxyTLS(identities ...ProxyIdentity) Trust {
	t := Trust{}
	var match []func(*http.Request) bool
	for _, id := range identities {
		m, err := id.matcher()
		if err != nil {
			t.problem = err
		}
		match = append(match, m)
	}
	if len(identities) == 0 {
		t.problem = errors.New("TrustProxyTLS: no identity")
	}
	t.peer = func(r *http.Request) bool {
		if r.TLS == nil || !r.TLS.HandshakeComplete || len(r.TLS.PeerCertificates) == 0 {
			return false
		}
		return slices.ContainsFunc(match, func(m func(*http.Request) bool) bool { return m(r) })
	}
	return t
}

func (id ProxyIdentity) matcher() (func(*http.Request) bool, error) {
	switch {
	case id.URI != "" && id.DNS == "" && id.Key == "":
		return id.named(certname.URI, id.URI)
	case id.DNS != "" && id.URI == "" && id.Key == "":
		return id.named(certname.DNS, id.DNS)
	case id.Key != "" && id.URI == "" && id.DNS == "":
		want, err := base64.StdEncoding.Strict().DecodeString(id.Key)
		if err != nil || len(want) != sha256.Size || strings.ContainsAny(id.Key, "\r\n") { // which encoding/base64 skips
			return nil, errors.New("TrustProxyTLS: Key is not the base64 of a SHA-256: 44 characters, of 32 bytes")
		}
		if id.Roots != nil || id.AnyAuthority {
			return nil, errors.New("TrustProxyTLS: Key speaks for itself: leave Roots and AnyAuthority out")
		}
		return func(r *http.Request) bool {
			got := sha256.Sum256(r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
			return subtle.ConstantTimeCompare(got[:], want) == 1
		}, nil
	}
	return nil, errors.New("TrustProxyTLS: an identity has exactly one of URI, DNS and Key")
}

// named matches a name that the right authority has given.
func (id ProxyIdentity) named(form certname.Form, name string) (func(*http.Request) bool, error) {
	source := TLSCertificateAnyHost()
	switch {
	case id.Roots != nil && id.AnyAuthority:
		return nil, errors.New("TrustProxyTLS: Roots and AnyAuthority: set one")
	case id.Roots == nil && !id.AnyAuthority:
		return nil, errors.New("TrustProxyTLS: URI and DNS need Roots: the authorities that may give the proxy its name")
	case id.Roots != nil:
		var err error
		if source, err = Verified(source, Verification{Roots: id.Roots}); err != nil {
			return nil, fmt.Errorf("TrustProxyTLS: %w", err)
		}
	}
	known := &connectionMemory{seed: maphash.MakeSeed()}
	return func(r *http.Request) bool {
		return certname.Has(r.TLS.PeerCertificates[0], form, name) && known.remember(r.TLS, time.Now(), func() *Certificate {
			c, err := source.Certificate(r)
			if err != nil || c.CheckIdentity() != nil {
				return nil
			}
			return c
		})
	}, nil
}

// connectionMemory keeps what was found out about connections, the last ones. A look takes no lock. What was found depends
// on the connection alone, never on a request that it carries.
type connectionMemory struct {
	seed   maphash.Seed
	places [256]atomic.Pointer[judged]
}

type judged struct {
	peer        peer
	good        bool
	from, until time.Time // in which that holds
}

// peer is who is at the other end of a connection. Its pointers are never equal to those of another, even at the same
// address.
type peer struct {
	connection weakly.Pointer[tls.ConnectionState]
	leaf       weakly.Pointer[x509.Certificate]    // a server may use the state of one connection again for the next
	chains     weakly.Pointer[[]*x509.Certificate] // that the TLS stack has verified, by the first
}

func peerOf(connection *tls.ConnectionState) peer {
	p := peer{connection: weakly.Make(connection), leaf: weakly.Make(connection.PeerCertificates[0])}
	if len(connection.VerifiedChains) > 0 {
		p.chains = weakly.Make(&connection.VerifiedChains[0])
	}
	return p
}

// rememberStranger is how long a connection that isn't the proxy's stays that: its certificate may not be valid yet.
const rememberStranger = 10 * time.Second

// remember asks who a connection's peer is, once for as long as the answer holds: a proxy's connection may outlive its
// certificate.
func (m *connectionMemory) remember(connection *tls.ConnectionState, now time.Time, judge func() *Certificate) bool {
	place := &m.places[maphash.Comparable(m.seed, connection)%uint64(len(m.places))]
	who := peerOf(connection)
	if j := place.Load(); j != nil && j.peer == who && within(now, j.from, j.until) {
		return j.good
	}
	j := &judged{peer: who, from: now, until: now.Add(rememberStranger)}
	if c := judge(); c != nil && len(c.Chain) > 0 {
		p := newPath(c.Chain)
		j.good, j.from, j.until = true, p.from, p.until
	}
	place.Store(j)
	return j.good
}
