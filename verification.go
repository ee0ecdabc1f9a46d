package popauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"hash/maphash"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/jwk"
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
	// not for clients of this API: without a Policy on the name, anyone who can buy a certificate comes in.
	SystemRoots bool

	// TrustDomains are the roots of SPIFFE trust domains by their names, such as "example.org". A certificate with a SPIFFE
	// ID is held against those of its own trust domain and no other roots (X509-SVID, section 5); without any here it is
	// refused. Certificates without a SPIFFE ID are held against Roots. If nil, SPIFFE IDs are like other names, and
	// CertificateSPIFFE refuses them.
	TrustDomains map[string]*x509.CertPool

	// RootsFor finds the roots for one certificate at one request, in place of Roots: those of the customer to whom its
	// names or the host belong, or those of the moment where they change while the API runs. They count for each name in
	// the certificate. Nil refuses it with 403, an error with 503 unless it wraps another Reason. Results are remembered
	// for each pool, so return the same one as long as it is valid, and another, not a changed one, after that.
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
	Check func(*http.Request, *Certificate) error

	// Remember is how long the way to a root is remembered; its period is looked at on every request all the same. If
	// zero, 2 min; at most 30 min; a negative one remembers nothing.
	Remember time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultRemember = 2 * time.Minute
	maxRemember     = 30 * time.Minute
	// Someone who has been sent the missing intermediate shouldn't have to wait for long.
	rememberRefusal = 10 * time.Second
	maxResults      = 1024

	maxSent         = 40 // with the leaf
	maxCertificate  = certname.MaxCertificate
	maxCertificates = 64 << 10 // together; a handshake can't carry more
	minRSA          = 2048
)

// Verified is source with validation: a certificate becomes an identity only if v accepts it, and its Verified is then
// VerifiedLocally, whoever had verified it before. Others are refused with 403 and ErrCertificateUntrusted or
// ErrCertificateRevoked; if that can't be found out, with 503 and ErrUnavailable. Where source finds no certificate,
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
func Verified(source CertificateSource, v Verification) (CertificateSource, error) {
	s := &verifiedSource{source: source, v: v}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

type verifiedSource struct {
	source   CertificateSource
	headers  managedHeaders // of source
	v        Verification
	listed   [][sha256.Size]byte
	accepted *results[ways]
	refused  *results[noWay]
	seed     maphash.Seed
}

func (s *verifiedSource) complete() error {
	var wrong []error
	problem := settings.Problems("popauth: Verification", &wrong)
	if s.source == nil {
		wrong = append(wrong, errors.New("popauth: Verified: nil source"))
	}
	var err error
	if s.headers, err = headersOf(s.source); err != nil {
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
		sum, err := parseThumbprint(spelled)
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
	s.seed = maphash.MakeSeed()
	s.accepted, s.refused = newResults[ways](maxResults), newResults[noWay](maxResults)
	return errors.Join(wrong...)
}

// Certificate implements CertificateSource.
func (s *verifiedSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := obtain(s.source, r)
	if c == nil || err != nil {
		return nil, err
	}
	if s.v.Check != nil || s.v.RootsFor != nil { // others than source, who are not to see its headers
		r = s.headers.strip(r)
	}
	return s.verify(r, c)
}

// Headers implements CertificateSource.
func (s *verifiedSource) Headers() ([]string, error) { return slices.Clone(s.headers), nil }

// Unwrap returns the source that finds the certificates, for package forwardauth.
func (s *verifiedSource) Unwrap() CertificateSource { return s.source }

func (s *verifiedSource) verify(r *http.Request, c *Certificate) (*Certificate, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Leaf == nil {
		return nil, &Error{Reason: ErrCertificateUntrusted, Err: c.unparsed()}
	}
	w, err := s.trusted(r, c)
	if err != nil {
		return nil, closing(err, r, c)
	}
	own := *c
	chain, err := s.unrevoked(r.Context(), w.paths)
	if err != nil {
		return nil, closing(err, r, c)
	}
	own.Chain = slices.Clone(chain) // what is remembered is nobody's
	if len(chain) > 0 {
		own.Chain[0] = c.Leaf // the same, but for another connection
	}
	if len(w.paths) == 0 {
		own.Chain = []*x509.Certificate{c.Leaf}
	}
	own.hash()
	own.Verified, own.standing, own.withheld, own.pooled = VerifiedLocally, nil, nil, w.pooled
	if s.v.Check != nil {
		if err := s.v.Check(r, own.clone()); err != nil {
			return nil, refused(err, ErrForbidden)
		}
	}
	return &own, nil
}

// trusted returns the ways to a root; none for a self-signed certificate of the list.
func (s *verifiedSource) trusted(r *http.Request, c *Certificate) (ways, error) {
	if err := s.fit(c); err != nil {
		return ways{}, err
	}
	now := s.v.Now()
	selfSigned := string(c.Leaf.RawIssuer) == string(c.Leaf.RawSubject)
	if !(selfSigned && s.v.SelfSignedAnyPeriod) && !within(now, c.Leaf.NotBefore, c.Leaf.NotAfter) {
		return ways{}, untrusted("outside its period: %s", period(c.Leaf))
	}
	if selfSigned {
		return ways{}, s.onList(c.Leaf)
	}
	if !s.chained() {
		return ways{}, untrusted("not self-signed, and there are no roots")
	}
	// A key that may sign certificates has no business in a handshake.
	if c.Leaf.IsCA {
		return ways{}, untrusted("an authority's own certificate")
	}
	roots, pooled, err := s.roots(r, c.Leaf)
	if err != nil {
		return ways{}, err
	}
	key := s.key(c, roots)
	if s.v.Remember > 0 {
		if w, ok := s.accepted.get(key, now); ok && w.roots == roots {
			if w.paths = valid(w.paths, now); len(w.paths) > 0 {
				return w, nil
			}
		} else if no, ok := s.refused.get(key, now); ok && no.roots == roots {
			return ways{}, no.err
		}
	}
	paths, err := s.search(c, roots, now)
	w := ways{roots, pooled, paths}
	switch {
	case s.v.Remember < 0:
	case err == nil:
		s.accepted.put(key, w, now, s.v.Remember)
	case !passing(err):
		s.refused.put(key, noWay{roots, inWords(err)}, now, min(s.v.Remember, rememberRefusal))
	}
	w.paths = valid(paths, now)
	return w, err
}

// fit refuses what is too much to work on, and keys and usages that no client can authenticate with.
func (s *verifiedSource) fit(c *Certificate) error {
	sent := append([]*x509.Certificate{c.Leaf}, c.Intermediates...)
	if len(sent) > maxSent {
		return untrusted("%d certificates sent, at most %d are read: send those of the way to the root alone", len(sent), maxSent)
	}
	total := 0
	for _, x := range sent {
		total += len(x.Raw)
		if len(x.Raw) > maxCertificate || total > maxCertificates {
			return untrusted("certificates of more than %d bytes, or %d together", maxCertificate, maxCertificates)
		}
		if err := jwk.Affordable(x.PublicKey); err != nil {
			return untrusted("%w", err)
		}
	}
	switch {
	case !slices.Contains([]x509.PublicKeyAlgorithm{x509.RSA, x509.ECDSA, x509.Ed25519}, c.Leaf.PublicKeyAlgorithm):
		return untrusted("a key that is not RSA, ECDSA or Ed25519")
	case c.Leaf.PublicKeyAlgorithm == x509.RSA && rsaBits(c.Leaf) < minRSA:
		return untrusted("an RSA key of %d bits", rsaBits(c.Leaf))
	// RFC 8446, section 4.4.2.2: where there is a key usage, it must have digitalSignature.
	case c.Leaf.KeyUsage != 0 && c.Leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return untrusted("its key usage doesn't allow to authenticate")
	case len(c.Leaf.UnhandledCriticalExtensions) > 0:
		return untrusted("unknown critical extension %v", c.Leaf.UnhandledCriticalExtensions[0])
	case !s.usable(c.Leaf):
		return untrusted("its extended key usage is another")
	}
	return nil
}

// usable is what crypto/x509 asks of a chain, for those that are none.
func (s *verifiedSource) usable(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 || slices.Contains(s.v.KeyUsages, x509.ExtKeyUsageAny) {
		return true
	}
	return slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageAny || slices.Contains(s.v.KeyUsages, u)
	})
}

// onList takes a certificate that names itself as its issuer at its word: without the list nobody vouches for it.
func (s *verifiedSource) onList(c *x509.Certificate) error {
	if !oneOf(s.listed, sha256.Sum256(c.Raw)) {
		return untrusted("self-signed and not on the list")
	}
	return nil
}
