package clientcert

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/managed"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// Verification says which certificates are acceptable as an identity: chained ones (Roots, TrustDomains, RootsFor or
// SystemRoots), self-signed ones (SelfSigned), or both. The zero Verification accepts none, and is an error.
//
// All names of a certificate must be permitted by the name constraints of its chain, critical or not: those for
// directory names too, which crypto/x509 leaves out. A root whose own constraints are critical and have such names can't
// be used, since crypto/x509 refuses it; an authority below a root can.
type Verification struct {
	_ [0]func()

	// Roots are the authorities whose certificates are accepted, each a trust anchor in its own right: with an
	// intermediate here, that one's certificates are accepted and no other's. Each of them may give any name, unless it was
	// added with a constraint, which is asked about whole chains alone. If nil, none.
	Roots *x509.CertPool

	// SystemRoots accepts the operating system's authorities in place of Roots. They vouch for names on the Internet,
	// not for clients of this API: without a Match on the name, anyone who can buy a certificate comes in.
	SystemRoots bool

	// TrustDomains are the roots of SPIFFE trust domains by their names, such as "example.org". A certificate with a SPIFFE
	// ID is held against those of its own trust domain and no other roots (X509-SVID, section 5); without any here it is
	// refused. Certificates without a SPIFFE ID are held against Roots. If nil, SPIFFE IDs are like other names, and
	// SPIFFE refuses them.
	TrustDomains map[string]*x509.CertPool

	// RootsFor finds the roots for one certificate at one request, in place of Roots: those of the customer to whom its
	// names or the host belong, or those of the moment where they change while the API runs. They count for each name in
	// the certificate. Nil refuses it with 403, an error with 503 unless it wraps another Reason. Results are remembered
	// for each pool, so return the same one as long as it is valid, and another, not a changed one, after that. RootsFile and
	// Bundles make such functions, for roots in a file and in SPIFFE bundles.
	RootsFor func(*http.Request, *x509.Certificate) (*x509.CertPool, error)

	// Intermediates help to find the way to a root, as do those that came with the certificate. They are not trusted
	// themselves. They may be in any order, and more than a way needs: an authority's certificates for each of its keys, or by
	// roots that aren't among these.
	Intermediates []*x509.Certificate

	// SelfSigned lists the certificates that are accepted though nobody vouches for them, by SHA-256 thumbprint:
	// base64url as in x5t#S256, or hex, with or without colons. Revoked is not asked about them. If nil, none.
	SelfSigned []string

	// SelfSignedAnyPeriod accepts those of SelfSigned before their NotBefore and after their NotAfter too.
	SelfSignedAnyPeriod bool

	// KeyUsages lists the extended key usages of which a certificate that is restricted to some must have one; the
	// whole chain is held to it. If nil, client authentication. x509.ExtKeyUsageAny accepts every certificate, those of
	// web servers included.
	KeyUsages []x509.ExtKeyUsage

	// Revoked is asked on every request about the verified chain, leaf first, root last: true refuses the request with
	// 403, an error with 503 unless it wraps another Reason. Package revocation has one for CRLs and OCSP. If nil, no
	// certificate is revoked.
	Revoked func(context.Context, []*x509.Certificate) (bool, error)

	// Check may refuse a certificate that everything else has accepted; it is asked on every request. An error is
	// answered with 403, unless it wraps another Reason. If nil, nothing is refused.
	Check func(*http.Request, *popauth.Certificate) error

	// Remember is how long the way to a root is remembered; its period is looked at on every request all the same. If
	// zero, 2 min; at most 30 min; a negative one remembers nothing.
	Remember time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultRemember = 2 * time.Minute
	maxRemember     = 30 * time.Minute
)

// Verified is source with validation: a certificate becomes an identity only if v accepts it, and its Verified is then
// popauth.VerifiedLocally, whoever had verified it before. Others are refused with 403 and popauth.ErrCertificateUntrusted or
// popauth.ErrCertificateRevoked; if that can't be found out, with 503 and popauth.ErrUnavailable. Where source finds no certificate,
// there is none. The error lists every problem of v.
//
// The intermediates that the caller or its proxy has sent only help to find the way to a root. What is remembered is
// keyed by all certificates that were sent, and bounded: the second request of a connection costs a look at that, be it
// accepted or refused.
//
// The first look goes down from the roots. A stranger has made its intermediates itself: of these at most four are held
// against the keys that they name, which are yours and not its own. Where each root has a name of its own that is a signature
// each; n roots of one name are n signatures, and together at most 12, or n if that is more. Its own certificate is one more
// signature, by each authority of yours that has the name it gives.
//
// Who has intermediates that your roots have issued has more looked at: on the way down, and again on the way up, at most 12
// signatures by keys of intermediates, for which one key of P-384 counts as two and of P-521 as four, and 13 by roots, or 3n
// where n roots have one name. A certificate whose intermediates open more ways than that is refused, unless those that the
// key identifiers lead to are fewer. What it costs to hold the intermediates of Verification against the roots comes on top.
//
// With SystemRoots only the 12 by intermediates are bounded, on the way up. The same holds on macOS and Windows for a pool
// that began as x509.SystemCertPool, since it doesn't show the system's authorities.
func Verified(source popauth.CertificateSource, v Verification) (popauth.CertificateSource, error) {
	s := &verifiedSource{source: source, v: v}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

var _ popauth.ValidatingSource = (*verifiedSource)(nil)

type verifiedSource struct {
	source  popauth.CertificateSource
	headers managed.Headers // of source
	v       Verification
	listed  [][sha256.Size]byte
	ways    *certname.Ways
}

func (s *verifiedSource) complete() error {
	var wrong []error
	problem := settings.Problems("clientcert: Verification", &wrong)
	if s.source == nil {
		wrong = append(wrong, errors.New("clientcert: Verified: nil source"))
	}
	var err error
	if s.headers, err = headersFor(s.source); err != nil {
		wrong = append(wrong, err)
	}
	s.completeRoots(problem)
	switch {
	case s.v.Roots != nil && s.v.SystemRoots:
		problem("SystemRoots", "they take the place of Roots: set one")
	case s.v.Roots != nil && s.v.Roots.Equal(x509.NewCertPool()):
		problem("Roots", "no certificate in the pool")
	case !s.chained() && len(s.v.SelfSigned) == 0:
		problem("Roots", "without Roots, TrustDomains, RootsFor, SystemRoots or SelfSigned nothing is accepted")
	case s.v.Roots != nil:
		s.v.Roots = s.v.Roots.Clone()
	}
	if slices.Contains(s.v.Intermediates, nil) {
		problem("Intermediates", "a nil certificate")
	}
	s.v.Intermediates = slices.Clone(s.v.Intermediates)
	for i, spelled := range s.v.SelfSigned {
		sum, err := certname.ParseThumbprint(spelled)
		if err != nil {
			problem("SelfSigned", "entry %d: %w", i, err)
		}
		s.listed = append(s.listed, sum)
	}
	if s.v.SelfSignedAnyPeriod && len(s.v.SelfSigned) == 0 {
		problem("SelfSignedAnyPeriod", "there is no SelfSigned")
	}
	if s.v.KeyUsages == nil {
		s.v.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	// To crypto/x509 an empty list would mean server authentication.
	if len(s.v.KeyUsages) == 0 {
		problem("KeyUsages", "an empty list allows nothing; leave it nil for client authentication")
	}
	s.v.KeyUsages = slices.Clone(s.v.KeyUsages)
	switch {
	case s.v.Remember == 0:
		s.v.Remember = defaultRemember
	case s.v.Remember > maxRemember:
		problem("Remember", "%v is more than %v", s.v.Remember, maxRemember)
	}
	if s.v.Now == nil {
		s.v.Now = time.Now
	}
	s.ways = certname.NewWays(s.v.KeyUsages, s.v.Remember, s.v.Intermediates...)
	return errors.Join(wrong...)
}

// Certificate implements popauth.CertificateSource.
func (s *verifiedSource) Certificate(r *http.Request) (*popauth.Certificate, error) {
	c, err := popauth.FindCertificate(s.source, r)
	if c == nil || err != nil {
		return nil, err
	}
	if s.v.Check != nil || s.v.RootsFor != nil { // others than source, who are not to see its headers
		r = s.headers.Strip(r)
	}
	return s.Recheck(r, c)
}

// Headers implements popauth.CertificateSource.
func (s *verifiedSource) Headers() ([]string, error) { return slices.Clone(s.headers), nil }

// Unwrap implements popauth.ValidatingSource.
func (s *verifiedSource) Unwrap() popauth.CertificateSource { return s.source }

// Recheck implements popauth.ValidatingSource.
func (s *verifiedSource) Recheck(r *http.Request, c *popauth.Certificate) (*popauth.Certificate, error) {
	if c.Leaf == nil {
		return nil, c.CheckIdentity()
	}
	paths, pooled, err := s.trusted(r, c)
	if err != nil {
		return nil, c.Refuse(r, err)
	}
	chain, err := s.unrevoked(r.Context(), paths)
	if err != nil {
		return nil, c.Refuse(r, err)
	}
	own := c.WithChain(chain...)
	own.SharedRoots = pooled
	if s.v.Check != nil {
		if err := s.v.Check(r, own.Clone()); err != nil {
			return nil, reasonOf(err, popauth.ErrForbidden)
		}
	}
	return own, nil
}

// trusted returns the ways to a root; none for a self-signed certificate of the list. Pooled tells whether the roots are one
// pool for every name.
func (s *verifiedSource) trusted(r *http.Request, c *popauth.Certificate) (paths []certname.Path, pooled bool, err error) {
	if err := certname.Fit(c.Leaf, c.Intermediates, s.v.KeyUsages); err != nil {
		return nil, false, &popauth.Error{Reason: popauth.ErrCertificateUntrusted, Err: err}
	}
	now := s.v.Now()
	selfSigned := certname.SelfIssued(c.Leaf)
	if !(selfSigned && s.v.SelfSignedAnyPeriod) && !certname.Within(now, c.Leaf.NotBefore, c.Leaf.NotAfter) {
		return nil, false, untrusted("outside its period: %s", certname.PeriodOf(c.Leaf))
	}
	if selfSigned {
		return nil, false, s.onList(c.Leaf)
	}
	if !s.chained() {
		return nil, false, untrusted("not self-signed, and there are no roots")
	}
	// A key that may sign certificates has no business in a handshake.
	if c.Leaf.IsCA {
		return nil, false, untrusted("an authority's own certificate")
	}
	roots, pooled, err := s.roots(r, c.Leaf)
	if err != nil {
		return nil, false, err
	}
	if paths, err = s.ways.Find(roots, c.Leaf, c.Intermediates, now); err != nil {
		return nil, false, &popauth.Error{Reason: popauth.ErrCertificateUntrusted, Err: err}
	}
	return paths, pooled, nil
}

// onList takes a certificate that names itself as its issuer at its word: without the list nobody vouches for it.
func (s *verifiedSource) onList(c *x509.Certificate) error {
	if !certname.OneOf(s.listed, sha256.Sum256(c.Raw)) {
		return untrusted("self-signed and not on the list")
	}
	return nil
}

func untrusted(format string, args ...any) error {
	return &popauth.Error{Reason: popauth.ErrCertificateUntrusted, Err: fmt.Errorf(format, args...)}
}

// headersFor returns the headers of a source; none of a nil one. The error is about its configuration.
func headersFor(source popauth.CertificateSource) (managed.Headers, error) {
	if source == nil {
		return nil, nil
	}
	names, err := source.Headers()
	if slices.Contains(names, "") {
		err = errors.Join(err, fmt.Errorf("clientcert: %T: Headers has an empty name", source))
	}
	return slices.Clone(names), err // a source of somebody else's may change its own
}

// reasonOf makes an Error of what a function of the program returned: one that names no Reason gets the one given.
func reasonOf(err error, otherwise popauth.Reason) *popauth.Error {
	if e, ok := errors.AsType[*popauth.Error](err); ok && e != nil {
		own := *e
		if error(e) != err { //nolint:errorlint // itself, or what wraps it
			own.Err = err
		}
		return &own
	}
	if r, ok := errors.AsType[popauth.Reason](err); ok {
		otherwise = r
	}
	return &popauth.Error{Reason: otherwise, Err: err}
}
