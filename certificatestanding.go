package popauth

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"sync"
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
// it began is not asked: the TLS stack has.
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
