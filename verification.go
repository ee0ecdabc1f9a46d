package popauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Verification says which certificates are acceptable as an identity: chained ones (Roots or SystemRoots), self-signed
// ones (SelfSigned), or both. The zero Verification accepts none, and is an error.
type Verification struct {
	_ [0]func()

	// Roots are the authorities whose certificates are accepted, each a trust anchor in its own right: with an
	// intermediate here, that one's certificates are accepted and no other's. If nil, none.
	Roots *x509.CertPool

	// SystemRoots accepts the operating system's authorities in place of Roots. They vouch for names on the Internet,
	// not for clients of this API: without a Policy on the name, anyone who can buy a certificate comes in.
	SystemRoots bool

	// Intermediates help to find the way to a root, as do those that came with the certificate. They are not trusted
	// themselves.
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

	maxChain          = 10 // certificates, with the root
	maxSent           = 40 // with the leaf
	maxChains         = 4  // that are asked about
	maxCertificate    = 16 << 10
	maxCertificates   = 64 << 10 // together; a handshake can't carry more
	minRSA, maxRSABit = 2048, 8192
)

// Verified is source with validation: a certificate becomes an identity only if v accepts it, and its Verified is then
// VerifiedLocally, whoever had verified it before. Others are refused with 403 and ErrCertificateUntrusted or
// ErrCertificateRevoked; if that can't be found out, with 503 and ErrUnavailable. Where source finds no certificate,
// there is none. The error lists every problem of v.
//
// The intermediates that the caller or its proxy has sent only help to find the way to a root. What is remembered is
// keyed by all certificates that were sent, and bounded.
func Verified(source CertificateSource, v Verification) (CertificateSource, error) {
	s := &verifiedSource{source: source, v: v}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

type verifiedSource struct {
	source   CertificateSource
	v        Verification
	listed   [][sha256.Size]byte
	accepted *results[[]path]
	refused  *results[error]
}

func (s *verifiedSource) complete() error {
	var wrong []error
	problem := func(field, format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("popauth: Verification."+field+": "+format, args...))
	}
	if s.source == nil {
		wrong = append(wrong, errors.New("popauth: Verified: nil source"))
	}
	if err := s.invalid(); err != nil {
		wrong = append(wrong, err)
	}
	switch {
	case s.v.Roots != nil && s.v.SystemRoots:
		problem("SystemRoots", "they take the place of Roots: set one")
	case s.v.Roots != nil && s.v.Roots.Equal(x509.NewCertPool()):
		problem("Roots", "no certificate in the pool")
	case s.v.Roots == nil && !s.v.SystemRoots && len(s.v.SelfSigned) == 0:
		problem("Roots", "without Roots, SystemRoots or SelfSigned nothing is accepted")
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
	s.accepted, s.refused = newResults[[]path](maxResults), newResults[error](maxResults)
	return errors.Join(wrong...)
}

// Certificate implements CertificateSource.
func (s *verifiedSource) Certificate(r *http.Request) (*Certificate, error) {
	c, err := s.source.Certificate(r)
	if c == nil || err != nil {
		return nil, err
	}
	return s.verify(r, c)
}

func (s *verifiedSource) verify(r *http.Request, c *Certificate) (*Certificate, error) {
	if c.Leaf == nil || len(c.Leaf.Raw) == 0 || slices.Contains(c.Intermediates, nil) {
		return nil, &Error{Reason: ErrCertificateMalformed, Err: errors.New("a source's certificate without content")}
	}
	paths, err := s.trusted(c)
	if err != nil {
		return nil, err
	}
	if err := s.unrevoked(r.Context(), paths); err != nil {
		return nil, err
	}
	own := *c
	own.Thumbprint, own.Verified = encodeDigest(c.digest()), VerifiedLocally
	if s.v.Check != nil {
		if err := s.v.Check(r, own.clone()); err != nil {
			return nil, refused(err, ErrForbidden)
		}
	}
	return &own, nil
}

// trusted returns the ways to a root; none for a self-signed certificate of the list.
func (s *verifiedSource) trusted(c *Certificate) ([]path, error) {
	if err := s.fit(c); err != nil {
		return nil, err
	}
	now := s.v.Now()
	selfSigned := string(c.Leaf.RawIssuer) == string(c.Leaf.RawSubject)
	if !(selfSigned && s.v.SelfSignedAnyPeriod) && !within(now, c.Leaf.NotBefore, c.Leaf.NotAfter) {
		return nil, untrusted("outside its period: %s", period(c.Leaf))
	}
	if selfSigned {
		return nil, s.onList(c.Leaf)
	}
	if s.v.Roots == nil && !s.v.SystemRoots {
		return nil, untrusted("not self-signed, and there are no roots")
	}
	// A key that may sign certificates has no business in a handshake.
	if c.Leaf.IsCA {
		return nil, untrusted("an authority's own certificate")
	}
	key := s.key(c)
	if s.v.Remember > 0 {
		if paths, ok := s.accepted.get(key, now); ok {
			if paths = valid(paths, now); len(paths) > 0 {
				return paths, nil
			}
		} else if err, ok := s.refused.get(key, now); ok {
			return nil, err
		}
	}
	paths, err := s.search(c, now)
	switch {
	case s.v.Remember < 0:
	case err == nil:
		s.accepted.put(key, paths, now, s.v.Remember)
	case !passing(err):
		s.refused.put(key, err, now, min(s.v.Remember, rememberRefusal))
	}
	return valid(paths, now), err
}

// fit refuses what is too much to work on, and keys and usages that no client can authenticate with.
func (s *verifiedSource) fit(c *Certificate) error {
	sent := append([]*x509.Certificate{c.Leaf}, c.Intermediates...)
	if len(sent) > maxSent {
		return untrusted("%d certificates sent, at most %d are read", len(sent), maxSent)
	}
	total := 0
	for _, x := range sent {
		total += len(x.Raw)
		if len(x.Raw) > maxCertificate || total > maxCertificates {
			return untrusted("certificates of more than %d bytes, or %d together", maxCertificate, maxCertificates)
		}
		if bits := rsaBits(x); bits > maxRSABit {
			return untrusted("an RSA key of %d bits", bits)
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
	if !oneOf(s.listed, c) {
		return untrusted("self-signed and not on the list")
	}
	return nil
}

// path is one way from a leaf to a root, and the time in which every certificate on it is valid.
type path struct {
	certificates []*x509.Certificate
	from, until  time.Time
}

func (s *verifiedSource) search(c *Certificate, now time.Time) ([]path, error) {
	intermediates := x509.NewCertPool()
	for _, x := range slices.Concat(s.v.Intermediates, c.Intermediates) {
		intermediates.AddCert(x)
	}
	chains, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: s.v.Roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: s.v.KeyUsages,
	})
	if err != nil {
		return nil, &Error{Reason: ErrCertificateUntrusted, Err: err}
	}
	var paths []path
	for _, chain := range chains {
		if len(chain) > maxChain || len(paths) == maxChains {
			continue
		}
		p := path{chain, chain[0].NotBefore, chain[0].NotAfter}
		for _, x := range chain[1:] {
			if x.NotBefore.After(p.from) {
				p.from = x.NotBefore
			}
			if x.NotAfter.Before(p.until) {
				p.until = x.NotAfter
			}
		}
		paths = append(paths, p)
	}
	if len(paths) == 0 {
		return nil, untrusted("more than %d certificates on the way to a root", maxChain)
	}
	return paths, nil
}

// unrevoked asks about one way after the other: one without a revoked certificate is enough (RFC 5280, section 6).
func (s *verifiedSource) unrevoked(ctx context.Context, paths []path) error {
	if s.v.Revoked == nil {
		return nil
	}
	var first error
	for _, p := range paths {
		revoked, err := s.v.Revoked(ctx, slices.Clone(p.certificates))
		switch {
		case err != nil:
			err = refused(err, ErrUnavailable)
		case revoked:
			err = &Error{Reason: ErrCertificateRevoked}
		default:
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// key covers everything that a search depends on, apart from the configuration and the time.
func (s *verifiedSource) key(c *Certificate) [sha256.Size]byte {
	h := sha256.New()
	for _, x := range append([]*x509.Certificate{c.Leaf}, c.Intermediates...) {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(x.Raw))))
		_, _ = h.Write(x.Raw)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
