package popauth

import (
	"crypto/x509"
	"errors"
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
	chains [][]*x509.Certificate
	once   sync.Once
	paths  []certname.Path
	err    error
}

// path returns the first way to a root that nothing speaks against, and that has not expired. When it began is not asked: the
// TLS stack has.
func (s *standing) path(now time.Time) (*certname.Path, *Error) {
	s.once.Do(func() {
		var good [][]*x509.Certificate
		good, s.err = certname.Holding(s.chains)
		for _, chain := range good {
			s.paths = append(s.paths, certname.NewPath(chain))
		}
	})
	if s.err != nil {
		return nil, &Error{Reason: ErrCertificateUntrusted, Err: s.err, closes: true}
	}
	for i := range s.paths {
		if p := &s.paths[i]; !now.After(p.Until) {
			return p, nil
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
		_, e := c.standing.path(now)
		return e
	case (c.Verified == VerifiedByTLS || c.Verified == VerifiedByProxy) && c.isOver(now):
		return lapsed(c.Leaf, c.Source == SourceTLS)
	case c.isVerified():
		return nil
	case c.withheld != nil:
		own := *c.withheld
		return &own
	}
	return &Error{Reason: ErrCertificateUntrusted, Err: errNobody}
}

var errNobody = errors.New("nobody has verified it")

func (c *Certificate) isOver(now time.Time) bool {
	over := func(x *x509.Certificate) bool { return now.After(x.NotAfter) }
	return over(c.Leaf) || slices.ContainsFunc(c.Chain, over)
}

// at returns the certificate with Verified and Chain as they are at a time.
func (c *Certificate) at(now time.Time) *Certificate {
	if c == nil {
		return nil
	}
	var e *Error
	own := *c
	own.standing = nil
	if c.standing != nil && c.Leaf != nil {
		p, refusal := c.standing.path(now)
		if e = refusal; e == nil {
			own.Verified, own.Chain = VerifiedByTLS, p.Certificates
			return &own
		}
	} else if c.Verified == NotVerified {
		return c
	} else if e = c.refusal(now); e == nil {
		return c
	}
	own.Verified, own.Chain, own.withheld = NotVerified, nil, e
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
	elsewhere := *c
	elsewhere.standing, elsewhere.Verified, elsewhere.Chain = nil, NotVerified, nil
	elsewhere.withheld = misdirected(server, r.Host)
	return &elsewhere
}

// isVerified leaves out values of Verified that mean nothing, and what has no names.
func (c *Certificate) isVerified() bool {
	return c.Leaf != nil && VerifiedByTLS <= c.Verified && c.Verified <= VerifiedLocally
}

// isPooled tells whether the roots are one pool for every name: those of the TLS stack are.
func (c *Certificate) isPooled() bool {
	return c.standing != nil || c.Verified == VerifiedByTLS || c.Verified == VerifiedLocally && c.pooled
}

// isOf tells whether a certificate is that of the request's own connection.
func (c *Certificate) isOf(r *http.Request) bool {
	return c.Leaf != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && r.TLS.PeerCertificates[0] == c.Leaf
}

// closing marks a refusal of the connection's own certificate: as long as the connection lasts, it would be the same, and
// a client that has a new certificate by now would not get to show it.
func closing(err error, r *http.Request, c *Certificate) error {
	if err == nil || !c.isOf(r) {
		return err
	}
	e := refused(err, ErrCertificateUntrusted)
	e.closes = e.Reason == ErrCertificateUntrusted || e.Reason == ErrCertificateRevoked
	return e
}
