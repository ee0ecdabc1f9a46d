package popauth

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"hash/maphash"
	"net/http"
	"slices"
	"sync/atomic"
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

// certificate returns what is known of a chain that was sent, leaf first. It is shared: whoever may change it gets a clone.
func (m *certificateMemory) certificate(sent []*x509.Certificate, verified VerifiedBy) *Certificate {
	if m == nil {
		return newCertificate(sent, verified)
	}
	hash := maphash.Comparable(m.seed, sent[0])
	set := m.places[hash%uint64(len(m.places)/certificateWays)*certificateWays:][:certificateWays]
	for i := range set {
		if c := set[i].Load(); c != nil && c.of(sent, verified) {
			return c
		}
	}
	c := newCertificate(sent, verified)
	size := 0
	for _, x := range sent {
		size += len(x.Raw)
	}
	if size > maxKeptChain {
		return c
	}
	c.Intermediates = slices.Clone(c.Intermediates)
	i := hash >> 62 // any: a certificate that is put out is hashed again
	for free := range set {
		if set[free].Load() == nil {
			i = uint64(free)
			break
		}
	}
	set[i].Store(c)
	return c
}

func newCertificate(sent []*x509.Certificate, verified VerifiedBy) *Certificate {
	c := &Certificate{Leaf: sent[0], Intermediates: sent[1:], Source: SourceTLS, Verified: verified}
	c.hash()
	return c
}

// of tells whether c is what newCertificate would return.
func (c *Certificate) of(sent []*x509.Certificate, verified VerifiedBy) bool {
	return c.Leaf == sent[0] && c.Verified == verified && slices.Equal(c.Intermediates, sent[1:]) && c.hashed.of(c.Leaf)
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
	own.Intermediates = slices.Clone(c.Intermediates)
	return &own
}

// sharing is a source of ours whose Certificate is a clone of what it shares with all requests.
type sharing interface {
	shared(r *http.Request) (*Certificate, error)
}

func encodeDigest(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }
