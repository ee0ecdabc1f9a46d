package popauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// certificateMemory keeps what was found out about the certificates of connections, so that each is hashed once, not
// with every request. crypto/tls has one *x509.Certificate for all connections that present the same. It is bounded, and
// a look takes no lock.
type certificateMemory struct {
	seed   maphash.Seed // protects nothing: what is found is compared
	places [1024]atomic.Pointer[Certificate]
}

func newCertificateMemory() *certificateMemory { return &certificateMemory{seed: maphash.MakeSeed()} }

const (
	certificateWays = 4       // places that one certificate may be in
	maxKeptChain    = 8 << 10 // bytes of DER
)

// handshake is all of a connection and its request that a certificate's standing depends on.
type handshake struct {
	sent         []*x509.Certificate // leaf first
	chains       [][]*x509.Certificate
	misdirected  bool // the certificate would be an identity, but for another host
	server, host string
}

func (h *handshake) equal(other handshake) bool {
	return slices.Equal(h.sent, other.sent) && slices.EqualFunc(h.chains, other.chains, slices.Equal) &&
		h.misdirected == other.misdirected && h.server == other.server && h.host == other.host
}

// certificate returns what is known of a handshake. It is shared: whoever may change it gets a clone.
func (m *certificateMemory) certificate(h handshake) *Certificate {
	if m == nil {
		return newCertificate(h)
	}
	hash := maphash.Comparable(m.seed, h.sent[0])
	set := m.places[hash%uint64(len(m.places)/certificateWays)*certificateWays:][:certificateWays]
	for i := range set {
		if c := set[i].Load(); c != nil && c.of(h) {
			return c
		}
	}
	c := newCertificate(h)
	size := len(h.host)
	for _, x := range h.sent {
		size += len(x.Raw)
	}
	if size > maxKeptChain {
		return c
	}
	c.Intermediates = slices.Clone(c.Intermediates)
	c.from.host = strings.Clone(h.host) // not what it was cut from
	i := hash >> 62                     // any: a certificate that is put out is hashed again
	for free := range set {
		if set[free].Load() == nil {
			i = uint64(free)
			break
		}
	}
	set[i].Store(c)
	return c
}

// newCertificate decides whether what the TLS stack has verified is an identity.
func newCertificate(h handshake) *Certificate {
	c := &Certificate{Leaf: h.sent[0], Intermediates: h.sent[1:], Source: SourceTLS, pooled: true, from: &h}
	c.hash()
	switch {
	case len(h.chains) == 0:
	case h.misdirected:
		c.withheld = &Error{Reason: ErrMisdirected, Err: fmt.Errorf("server name %.80q, host %.80q", h.server, h.host)}
	default:
		good, err := certname.Holding(h.chains)
		if err != nil {
			c.withheld = &Error{Reason: ErrCertificateUntrusted, Err: err}
			break
		}
		c.Verified, c.Chain = VerifiedByTLS, good[0]
	}
	return c
}

// of tells whether c is what newCertificate would return.
func (c *Certificate) of(h handshake) bool {
	return c.Leaf == h.sent[0] && c.from.equal(h) && c.hashed.of(c.Leaf)
}

// leafHash is the SHA-256 of a certificate's DER form, and of which.
type leafHash struct {
	raw []byte
	sum [sha256.Size]byte
}

// of compares the bytes: they are the certificate, whatever its pointer says.
func (h *leafHash) of(leaf *x509.Certificate) bool { return h != nil && bytes.Equal(h.raw, leaf.Raw) }

// hash fills in what follows from Leaf.
func (c *Certificate) hash() {
	c.hashed = &leafHash{bytes.Clone(c.Leaf.Raw), sha256.Sum256(c.Leaf.Raw)}
	c.Thumbprint = encodeDigest(c.hashed.sum)
}

// digest is the SHA-256 of Leaf, whatever Thumbprint says.
func (c *Certificate) digest() [sha256.Size]byte {
	if c.hashed.of(c.Leaf) {
		return c.hashed.sum
	}
	return sha256.Sum256(c.Leaf.Raw)
}

// clone returns a Certificate that its owner may change; nil if c is nil.
func (c *Certificate) clone() *Certificate {
	if c == nil {
		return nil
	}
	own := *c
	own.Intermediates, own.Chain = slices.Clone(c.Intermediates), slices.Clone(c.Chain)
	return &own
}

// sharing is a source of ours whose Certificate is a clone of what it shares with all requests.
type sharing interface {
	shared(r *http.Request) (*Certificate, error)
}

func encodeDigest(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }
