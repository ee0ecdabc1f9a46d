package popauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// certificateMemory keeps what was found out about the certificates of connections, so that each is hashed once, and its
// names are held against its chain once, not with every request. crypto/tls has one *x509.Certificate for all connections
// that present the same. It is bounded, and a look takes no lock.
type certificateMemory struct {
	seed  maphash.Seed // protects nothing: what is found is compared
	small [1024]atomic.Pointer[known]
	large [16]atomic.Pointer[known] // of chains of more than maxKeptChain
}

func newCertificateMemory() *certificateMemory { return &certificateMemory{seed: maphash.MakeSeed()} }

const (
	certificateWays = 4       // places that one certificate may be in
	maxKeptChain    = 8 << 10 // bytes of DER
)

// handshake is all of a connection that a certificate's standing depends on.
type handshake struct {
	sent   []*x509.Certificate   // leaf first
	chains [][]*x509.Certificate // that the TLS stack has verified
}

func (h handshake) equal(other handshake) bool {
	return slices.Equal(h.sent, other.sent) && slices.EqualFunc(h.chains, other.chains, slices.Equal)
}

// own returns a copy that nobody can change: the slices of a tls.ConnectionState are everybody's.
func (h handshake) own() handshake {
	own := handshake{slices.Clone(h.sent), slices.Clone(h.chains)}
	for i := range own.chains {
		own.chains[i] = slices.Clone(own.chains[i])
	}
	return own
}

func (h handshake) size() int {
	size := 0
	for _, c := range h.sent {
		size += len(c.Raw)
	}
	return size
}

// known is what was found out about a handshake.
type known struct {
	handshake   handshake
	certificate *Certificate
	elsewhere   atomic.Pointer[elsewhere]
}

// elsewhere is the certificate for a host that the connection wasn't made for: the one asked for last.
type elsewhere struct {
	server, host string
	certificate  *Certificate
}

func newKnown(h handshake, hosted bool) *known {
	c := &Certificate{Leaf: h.sent[0], Intermediates: h.sent[1:], Source: SourceTLS, hosted: hosted}
	c.hash()
	if len(h.chains) > 0 {
		c.standing = &standing{of: c, chains: h.chains}
	}
	return &known{handshake: h, certificate: c}
}

// of tells whether k is what newKnown would return.
func (k *known) of(h handshake) bool {
	return k.certificate.Leaf == h.sent[0] && k.handshake.equal(h) && k.certificate.hashed.of(h.sent[0].Raw)
}

// at returns the certificate for another host than that of the connection.
func (k *known) at(server, host string) *Certificate {
	if e := k.elsewhere.Load(); e != nil && e.server == server && e.host == host {
		return e.certificate
	}
	own := *k.certificate
	own.standing, own.withheld = nil, misdirected(server, host)
	k.elsewhere.Store(&elsewhere{strings.Clone(server), strings.Clone(host), &own})
	return &own
}

// find returns what is known of a handshake. It is shared: whoever may change it gets a clone. Hosted is the same for
// each call: a memory is one source's.
func (m *certificateMemory) find(h handshake, hosted bool) *known {
	if m == nil {
		return newKnown(h, hosted)
	}
	places := m.small[:]
	if h.size() > maxKeptChain {
		places = m.large[:]
	}
	hash := maphash.Comparable(m.seed, h.sent[0])
	set := places[hash%uint64(len(places)/certificateWays)*certificateWays:][:certificateWays]
	for i := range set {
		if k := set[i].Load(); k != nil && k.of(h) {
			return k
		}
	}
	k := newKnown(h.own(), hosted)
	i := hash >> 62 // any: a certificate that is put out is hashed again
	for free := range set {
		if set[free].Load() == nil {
			i = uint64(free)
			break
		}
	}
	set[i].Store(k)
	return k
}

// leafHash is the SHA-256 of a certificate's DER form, and of which.
type leafHash struct {
	raw  []byte
	sum  [sha256.Size]byte
	text string // the thumbprint
}

// of compares the bytes: they are the certificate, whatever its pointer says.
func (h *leafHash) of(raw []byte) bool { return h != nil && bytes.Equal(h.raw, raw) }

// hash fills in what follows from the bytes.
func (c *Certificate) hash() {
	raw := c.raw()
	if !c.hashed.of(raw) {
		sum := sha256.Sum256(raw)
		c.hashed = &leafHash{bytes.Clone(raw), sum, encodeDigest(sum)}
	}
	c.Thumbprint = c.hashed.text
}

// isHashed tells whether hash would change nothing.
func (c *Certificate) isHashed() bool { return c.hashed.of(c.raw()) && c.Thumbprint == c.hashed.text }

// asHashed returns a copy that says of itself what follows from the bytes. What was found out about another certificate, which
// somebody has put this one in the place of, is not about this one.
func (c *Certificate) asHashed() *Certificate {
	own := c.clone()
	if !own.hashed.of(own.raw()) {
		own.withheld = nil
	}
	own.hash()
	return own
}

// digest is the SHA-256 of the caller's own certificate, whatever Thumbprint says.
func (c *Certificate) digest() [sha256.Size]byte {
	raw := c.raw()
	if c.hashed.of(raw) {
		return c.hashed.sum
	}
	return sha256.Sum256(raw)
}

// clone returns a Certificate that its owner may change; nil if c is nil. It has no more standing than its fields say
// only after at.
func (c *Certificate) clone() *Certificate {
	if c == nil {
		return nil
	}
	own := *c
	own.Intermediates, own.Chain = slices.Clone(c.Intermediates), slices.Clone(c.Chain)
	return &own
}

func encodeDigest(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }

func sameCertificate(a, b *Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.digest() == b.digest()
}
