// Package revocation finds out whether a certificate has been revoked: by files with CRLs (RFC 5280), and by OCSP
// (RFC 6960) or the CRL distribution points that the certificate names. It fits popauth.Verification:
//
//	checker, err := revocation.New(revocation.Options{Files: []string{"/etc/pki/clients.crl"}})
//	source, err := popauth.Verified(popauth.TLSCertificate(), popauth.Verification{Roots: roots, Revoked: checker.Revoked})
//
// Addresses are taken only from certificates whose way to a root has been verified, so a stranger can't choose where
// this process connects to. It is a package of its own so that golang.org/x/crypto/ocsp is linked by those who use it.
package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// Options configure a Checker. What knows an answer is asked in the order Files, OCSP, DistributionPoints, until one
// knows. Without any of them there is nothing to ask, and New returns an error.
type Options struct {
	_ [0]func()

	// Files are CRLs, in DER or PEM, several to a file in PEM. They are read again when they change; one that can't be
	// read then leaves the one before in force, until its nextUpdate. If nil, none.
	Files []string

	// Reread is how often at most Files are looked at. If zero, 10 s; at most 1 h.
	Reread time.Duration

	// OCSP asks the responders that a certificate names.
	OCSP bool

	// DistributionPoints fetches the CRLs that a certificate names.
	DistributionPoints bool

	// AllowUnknown lets a certificate pass whose state can't be found out: its sources can't be reached, are out of
	// date, don't know it, or it names none. Without it, such a request is refused. A revoked one is refused always.
	AllowUnknown bool

	// Timeout bounds how long a request waits, all of its chain's certificates together. If zero, 5 s; at most 30 s.
	Timeout time.Duration

	// Client fetches. Redirects to another host are not followed, whatever it says. If nil, one that keeps no
	// connections, with the proxy of the environment.
	Client *http.Client

	// Logger gets a warning where AllowUnknown let a certificate pass, and where a file can't be read again. If nil,
	// nothing is logged.
	Logger *slog.Logger

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultReread, maxReread   = 10 * time.Second, time.Hour
	defaultTimeout, maxTimeout = 5 * time.Second, 30 * time.Second
	maxFresh                   = time.Hour        // after which what was fetched is fetched again, though still valid
	pause                      = 10 * time.Second // before what failed is tried again
	skew                       = 5 * time.Minute  // that the authority's clock may be ahead
	maxLists, maxAnswers       = 32, 4096
	maxListSize, maxAnswerSize = 16 << 20, 64 << 10
	maxFileSize                = 64 << 20
)

// Checker answers for popauth.Verification.Revoked. It is safe for concurrent use; New makes one. No goroutine of it
// outlives Options.Timeout, so there is nothing to close.
type Checker struct {
	options Options
	client  *http.Client
	files   []*file
	lists   *remote[*list]
	answers *remote[*answer]
}

// New makes a Checker, and reads the files. The error lists every problem.
func New(o Options) (*Checker, error) {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("revocation: Options."+field+": "+format, args...))
	}
	bounded := func(field string, d *time.Duration, otherwise, most time.Duration) {
		switch {
		case *d == 0:
			*d = otherwise
		case *d < 0 || *d > most:
			problem(field, "%v is not between 0 and %v", *d, most)
		}
	}
	bounded("Reread", &o.Reread, defaultReread, maxReread)
	bounded("Timeout", &o.Timeout, defaultTimeout, maxTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Files) == 0 && !o.OCSP && !o.DistributionPoints {
		problem("Files", "without Files, OCSP or DistributionPoints there is nothing to ask")
	}
	c := &Checker{options: o, client: clientFrom(o.Client)}
	for i, path := range o.Files {
		f := &file{path: path}
		if err := f.load(); err != nil {
			problem("Files", "entry %d: %w", i, err)
		}
		f.looked = o.Now()
		c.files = append(c.files, f)
	}
	c.lists = newRemote[*list](maxLists, o.Timeout, o.Now)
	c.answers = newRemote[*answer](maxAnswers, o.Timeout, o.Now)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return c, nil
}

// Revoked tells whether a certificate of a verified chain has been revoked: leaf first, and the last, the root, is not
// asked about. An error means that it can't be found out; one that wraps popauth.ErrCertificateUntrusted, that waiting
// won't help.
func (c *Checker) Revoked(ctx context.Context, chain []*x509.Certificate) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	var first error
	for i := range len(chain) - 1 {
		revoked, err := c.state(ctx, chain[i], chain[i+1])
		switch {
		case revoked:
			return true, nil
		case err != nil && c.options.AllowUnknown:
			c.options.Logger.LogAttrs(ctx, slog.LevelWarn, "revocation unknown, certificate allowed",
				slog.String("serial", chain[i].SerialNumber.Text(16)), slog.Int("position", i), slog.String("error", err.Error()))
		case err != nil && first == nil:
			first = fmt.Errorf("revocation: certificate %d of the chain: %w", i, err)
		}
	}
	return false, first
}

// state asks one source after the other; the first that knows decides.
func (c *Checker) state(ctx context.Context, cert, issuer *x509.Certificate) (bool, error) {
	var why []error
	known, revoked, err := c.byFiles(cert, issuer)
	if known {
		return revoked, nil
	}
	why = append(why, err)
	if c.options.OCSP {
		for _, address := range cert.OCSPServer[:min(len(cert.OCSPServer), maxAddresses)] {
			revoked, err := c.ask(ctx, address, cert, issuer)
			if err == nil {
				return revoked, nil
			}
			why = append(why, err)
		}
	}
	if c.options.DistributionPoints {
		for _, address := range cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), maxAddresses)] {
			revoked, err := c.fetchList(ctx, address, cert, issuer)
			if err == nil {
				return revoked, nil
			}
			why = append(why, err)
		}
	}
	if err := errors.Join(why...); err != nil {
		return false, err
	}
	return false, fmt.Errorf("%w: no source knows its issuer", popauth.ErrCertificateUntrusted)
}

// maxAddresses of one kind are tried per certificate.
const maxAddresses = 4
