package proxy

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"weak"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
)

// Identity is what a proxy's own TLS certificate must say: exactly one of URI, DNS and Key, and for URI and DNS
// whose word counts for it.
type Identity struct {
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
func TrustProxyTLS(identities ...Identity) Trust {
	t := Trust{}
	var keys [][sha256.Size]byte
	var named []*namedProxy
	for _, id := range identities {
		key, name, err := id.read()
		switch {
		case err != nil:
			t.problem = err
		case name != nil:
			named = append(named, name)
		default:
			keys = append(keys, key)
		}
	}
	if len(identities) == 0 {
		t.problem = errors.New("TrustProxyTLS: no identity")
	}
	known := &connectionMemory{seed: maphash.MakeSeed()}
	t.peer = func(r *http.Request) bool {
		if r.TLS == nil || !r.TLS.HandshakeComplete || len(r.TLS.PeerCertificates) == 0 {
			return false
		}
		leaf := r.TLS.PeerCertificates[0]
		if len(leaf.Raw) > certname.MaxCertificate {
			return false
		}
		if len(keys) > 0 && certname.OneOf(keys, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)) {
			return true
		}
		return len(named) > 0 && known.remember(r.TLS, time.Now(), func(now time.Time) *certname.Path { return firstOf(named, r, now) })
	}
	return t
}

// read returns the hash of a key, or a name and whose word counts for it.
func (id Identity) read() (key [sha256.Size]byte, name *namedProxy, err error) {
	switch {
	case id.URI != "" && id.DNS == "" && id.Key == "":
		name, err = id.named(certname.URI, id.URI)
		return key, name, err
	case id.DNS != "" && id.URI == "" && id.Key == "":
		name, err = id.named(certname.DNS, id.DNS)
		return key, name, err
	case id.Key != "" && id.URI == "" && id.DNS == "":
		want, err := base64.StdEncoding.Strict().DecodeString(id.Key)
		if err != nil || len(want) != sha256.Size || strings.ContainsAny(id.Key, "\r\n") { // which encoding/base64 skips
			return key, nil, errors.New("TrustProxyTLS: Key is not the base64 of a SHA-256: 44 characters, of 32 bytes")
		}
		if id.Roots != nil || id.AnyAuthority {
			return key, nil, errors.New("TrustProxyTLS: Key speaks for itself: leave Roots and AnyAuthority out")
		}
		return [sha256.Size]byte(want), nil, nil
	}
	return key, nil, errors.New("TrustProxyTLS: an identity has exactly one of URI, DNS and Key")
}

// namedProxy is a name, and whose word counts for it.
type namedProxy struct {
	form  certname.Form
	name  string
	roots *x509.CertPool
	ways  *certname.Ways
	any   popauth.CertificateSource // with the authorities of the TLS stack, in place of roots
}

// rememberWays is how long the way to a root is remembered, for further connections of the same proxy.
const rememberWays = 2 * time.Minute

func (id Identity) named(form certname.Form, name string) (*namedProxy, error) {
	switch {
	case id.Roots != nil && id.AnyAuthority:
		return nil, errors.New("TrustProxyTLS: Roots and AnyAuthority: set one")
	case id.AnyAuthority:
		return &namedProxy{form: form, name: name, any: popauth.TLSCertificateAnyHost()}, nil
	case id.Roots == nil:
		return nil, errors.New("TrustProxyTLS: URI and DNS need Roots: the authorities that may give the proxy its name")
	case id.Roots.Equal(x509.NewCertPool()):
		return nil, errors.New("TrustProxyTLS: no certificate in the pool of Roots")
	}
	return &namedProxy{form: form, name: name, roots: id.Roots.Clone(), ways: certname.NewWays(clientAuth, rememberWays)}, nil
}

var clientAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}

// firstOf returns the way from the connection's certificate to a root if it is one of these proxies', and nil if not. Its
// names are read once.
func firstOf(named []*namedProxy, r *http.Request, now time.Time) *certname.Path {
	names := certname.Read(r.TLS.PeerCertificates[0])
	for _, p := range named {
		if !names.Has(p.form, p.name) {
			continue
		}
		if path := p.path(r, now); path != nil {
			return path
		}
	}
	return nil
}

// path returns the way to an authority that may give the name; nil if there is none.
func (p *namedProxy) path(r *http.Request, now time.Time) *certname.Path {
	if p.any != nil {
		c, err := p.any.Certificate(r)
		if err != nil || c.CheckIdentity() != nil {
			return nil
		}
		path := certname.NewPath(c.Chain)
		return &path
	}
	leaf, sent := r.TLS.PeerCertificates[0], r.TLS.PeerCertificates[1:]
	if slices.Contains(sent, nil) || certname.Fit(leaf, sent, clientAuth) != nil || !certname.Within(now, leaf.NotBefore, leaf.NotAfter) {
		return nil
	}
	if certname.SelfIssued(leaf) || leaf.IsCA { // nobody vouches for the one; the key of the other has no business in a handshake
		return nil
	}
	paths, err := p.ways.Find(p.roots, leaf, sent, now)
	if err != nil || len(paths) == 0 {
		return nil
	}
	return &paths[0]
}

// connectionMemory keeps what was found out about connections, the last ones. A look takes no lock. What was found depends
// on the connection alone, never on a request that it carries.
type connectionMemory struct {
	seed   maphash.Seed
	places [256]atomic.Pointer[judgment]
}

type judgment struct {
	peer        certifiedPeer
	good        bool
	from, until time.Time // in which that holds
}

// certifiedPeer is who is at the other end of a connection. Its pointers are never equal to those of another, even at the same
// address.
type certifiedPeer struct {
	connection weak.Pointer[tls.ConnectionState]
	leaf       weak.Pointer[x509.Certificate]    // a server may use the state of one connection again for the next
	chains     weak.Pointer[[]*x509.Certificate] // that the TLS stack has verified, by the first
}

func certifiedPeerOf(connection *tls.ConnectionState) certifiedPeer {
	p := certifiedPeer{connection: weak.Make(connection), leaf: weak.Make(connection.PeerCertificates[0])}
	if len(connection.VerifiedChains) > 0 {
		p.chains = weak.Make(&connection.VerifiedChains[0])
	}
	return p
}

// rememberStranger is how long a connection that isn't the proxy's stays that: its certificate may not be valid yet.
const rememberStranger = 10 * time.Second

// remember asks who a connection's peer is, once for as long as the answer holds: a proxy's connection may outlive its
// certificate.
func (m *connectionMemory) remember(connection *tls.ConnectionState, now time.Time, judge func(now time.Time) *certname.Path) bool {
	place := &m.places[maphash.Comparable(m.seed, connection)%uint64(len(m.places))]
	who := certifiedPeerOf(connection)
	if j := place.Load(); j != nil && j.peer == who && certname.Within(now, j.from, j.until) {
		return j.good
	}
	j := &judgment{peer: who, from: now, until: now.Add(rememberStranger)}
	if p := judge(now); p != nil {
		j.good, j.from, j.until = true, p.From, p.Until
	}
	place.Store(j)
	return j.good
}
