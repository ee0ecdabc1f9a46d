package popauth

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// standing is whether a certificate is an identity by what the TLS stack has verified. It is found out when somebody first
// asks: a request that only confirms what its token is bound to reads no name, and pays nothing.
type standing struct {
	of       *Certificate // whose standing it is; not verified yet
	chains   [][]*x509.Certificate
	once     sync.Once
	verified []verifiedUntil
	err      error
}

// verifiedUntil is a certificate verified by one way to a root, until one on the way expires. All requests share it.
type verifiedUntil struct {
	certificate *Certificate
	until       time.Time
}

// at returns the certificate verified by the first way to a root that nothing speaks against, and that has not expired. When
// it began is not checked: the TLS stack has done that.
func (s *standing) at(now time.Time) (*Certificate, *Error) {
	s.once.Do(func() {
		var good [][]*x509.Certificate
		good, s.err = certname.Holding(s.chains)
		for _, chain := range good {
			own := *s.of
			own.Verified, own.Chain, own.standing = VerifiedByTLS, chain, nil
			s.verified = append(s.verified, verifiedUntil{&own, certname.NewPath(chain).Until})
		}
	})
	if s.err != nil {
		return nil, &Error{Reason: ErrCertificateUntrusted, Err: s.err, closes: true}
	}
	for _, v := range s.verified {
		if !now.After(v.until) {
			return v.certificate, nil
		}
	}
	return nil, lapsed(s.chains[0][0], true)
}

func lapsed(leaf *x509.Certificate, closes bool) *Error {
	return &Error{Reason: ErrCertificateUntrusted, closes: closes,
		Err: fmt.Errorf("it has expired on a connection that lasts, or an authority's has; its own period is %s: "+
			"connect anew with a certificate that is valid", certname.PeriodOf(leaf))}
}

func misdirected(server, host string) *Error {
	return &Error{Reason: ErrMisdirected,
		Err: fmt.Errorf("server name %.80q, host %.80q: open a connection for that host, with it as the server name (SNI)", server, host)}
}

// refusal says why a certificate is no identity at a time; nil if it is one. What somebody else has verified ends with its
// period, however long the connection lasts: by the clock that a TLS stack goes by, which is not Options.Now. What popauth
// has verified, it has held against the time itself.
func (c *Certificate) refusal(now time.Time) *Error {
	switch {
	case c.Leaf == nil:
		return &Error{Reason: ErrCertificateUntrusted, Err: c.unparsed()}
	case c.standing != nil:
		_, e := c.standing.at(now)
		return e
	case (c.Verified == VerifiedByTLS || c.Verified == VerifiedByProxy) && c.isOver(now):
		return lapsed(c.Leaf, c.Source == SourceTLS)
	case c.isVerified():
		return nil
	case c.withheld != nil:
		own := *c.withheld
		return &own
	}
	return &Error{Reason: ErrCertificateUntrusted, Err: certname.ErrNotVerified}
}

func (c *Certificate) isOver(now time.Time) bool {
	over := func(x *x509.Certificate) bool { return now.After(x.NotAfter) }
	return over(c.Leaf) || slices.ContainsFunc(c.Chain, over)
}

// at returns the certificate with Verified and Chain as they are at a time. It is shared with other requests, as c is.
func (c *Certificate) at(now time.Time) *Certificate {
	switch {
	case c == nil:
		return nil
	case c.standing != nil && c.Leaf != nil:
		verified, e := c.standing.at(now)
		if e != nil {
			return c.unverified(e)
		}
		return verified
	case c.Verified == NotVerified:
		return c
	}
	if e := c.refusal(now); e != nil {
		return c.unverified(e)
	}
	return c
}

// unverified returns a copy that is no identity, and says why.
func (c *Certificate) unverified(why *Error) *Certificate {
	own := *c
	own.standing, own.Verified, own.Chain, own.withheld = nil, NotVerified, nil, why
	return &own
}

// on returns the certificate as it is for r, which may name another host by now than when the certificate was found:
// middleware takes it from X-Forwarded-Host. What the TLS stack has verified for one server name is no identity elsewhere.
func (c *Certificate) on(r *http.Request) *Certificate {
	if c == nil || !c.hosted || c.standing == nil && c.Verified != VerifiedByTLS {
		return c
	}
	server := ""
	if r.TLS != nil {
		if server = r.TLS.ServerName; serves(server, r.Host) {
			return c
		}
	}
	return c.unverified(misdirected(server, r.Host))
}

// isVerified leaves out values of Verified that mean nothing, and what has no names.
func (c *Certificate) isVerified() bool {
	return c.Leaf != nil && VerifiedByTLS <= c.Verified && c.Verified <= VerifiedLocally
}

// isOf tells whether a certificate is that of the request's own connection.
func (c *Certificate) isOf(r *http.Request) bool {
	return c != nil && c.Leaf != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0] == c.Leaf
}

// Clone returns a copy that is the caller's own, with Verified and Chain as they are now; nil if c is nil.
func (c *Certificate) Clone() *Certificate { return c.at(time.Now()).clone() }

// WithChain returns a copy of a certificate that you have verified, as its source: VerifiedLocally, by this chain, which begins
// with the certificate and ends with a root. Without one nobody vouches for it, such as a self-signed one that you know.
func (c *Certificate) WithChain(chain ...*x509.Certificate) *Certificate {
	own := *c
	own.Verified, own.SharedRoots, own.standing, own.withheld = VerifiedLocally, false, nil, nil
	if len(chain) == 0 {
		chain = []*x509.Certificate{c.Leaf}
	}
	own.Chain = slices.Clone(chain)
	own.Chain[0] = c.Leaf // the same, but for another connection
	return &own
}

// Refuse returns the refusal of a certificate by a source that validates it, or by whoever else does, for a request that came
// with it: ErrCertificateUntrusted, unless err wraps another Reason. If it is the certificate of the request's own connection,
// and it is refused with ErrCertificateUntrusted or ErrCertificateRevoked, the answer closes the connection: as long as that
// lasts, the refusal would be the same, and a client that has a new certificate by now would not get to show it.
func (c *Certificate) Refuse(r *http.Request, err error) *Error {
	e := errorOf(err, ErrCertificateUntrusted)
	if c.isOf(r) && (e.Reason == ErrCertificateUntrusted || e.Reason == ErrCertificateRevoked) {
		e.closes = true
	}
	return e
}

// hash fills in what follows from the bytes.
func (c *Certificate) hash() {
	raw := c.raw()
	if !c.hashed.Of(raw) {
		c.hashed = certname.HashOf(raw)
	}
	c.Thumbprint = c.hashed.Thumbprint
}

// isHashed tells whether hash would change nothing.
func (c *Certificate) isHashed() bool {
	return c.hashed.Of(c.raw()) && c.Thumbprint == c.hashed.Thumbprint
}

// asHashed returns a copy that says of itself what follows from the bytes. What was found out about another certificate, which
// somebody has put this one in the place of, is not about this one.
func (c *Certificate) asHashed() *Certificate {
	own := c.clone()
	if !own.hashed.Of(own.raw()) {
		own.withheld = nil
	}
	own.hash()
	return own
}

// digest is the SHA-256 of the caller's own certificate, whatever Thumbprint says.
func (c *Certificate) digest() [sha256.Size]byte {
	raw := c.raw()
	if c.hashed.Of(raw) {
		return c.hashed.Sum
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

func sameCertificate(a, b *Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.digest() == b.digest()
}

// certificateMemory keeps what was found out about the certificates of connections, so that each is hashed once, and its
// names are held against its chain once, not with every request. crypto/tls has one *x509.Certificate for all connections
// that present the same. It is bounded, and find takes no lock.
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

// elsewhere is the certificate for a host that the connection wasn't made for: the last one that was needed.
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
	return k.certificate.Leaf == h.sent[0] && k.handshake.equal(h) && k.certificate.hashed.Of(h.sent[0].Raw)
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
	i := hash >> 62 // any: an evicted certificate is hashed again
	for free := range set {
		if set[free].Load() == nil {
			i = uint64(free)
			break
		}
	}
	set[i].Store(k)
	return k
}
