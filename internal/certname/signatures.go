package certname

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
)

// MaxSignatures bounds the signatures that one call of Verify checks by keys of intermediates, on the way down from the
// roots and again on the way up from the leaf. crypto/x509 goes all ways that names lead, one after the other, and stops after
// a hundred signatures; a caller who holds the keys of its own intermediates can always have it do that. A key that is slow to
// verify by counts as several: of P-384 as two, of P-521 as four, of RSA with more than 4096 bits as two. The signatures of
// roots come on top, on either way: one for each certificate on a way, by each root of the name that it gives. See mostByRoots.
const MaxSignatures = 12

// search counts what crypto/x509 would do if every signature were good.
type search struct {
	intermediates []*x509.Certificate
	configured    []*x509.Certificate
	names         nameCount
	left          int
	byRoots       int // signatures by roots, for others than the configured
}

var errSignatures = fmt.Errorf("the intermediates open more ways to a root than %d signatures can tell, and no more are checked: "+
	"send each authority once, those of the certificate's own way alone", MaxSignatures)

// mostByRoots bounds the roots' signatures on either way, where n roots have the name that is asked for: one for each
// certificate on a way, if each root has a name of its own, and three certificates' in any case. Configured intermediates come
// on top.
func mostByRoots(n int) int { return max(MaxSignatures+1, 3*n) }

// bounded returns the intermediates if the leaf's ways to a root can be told within MaxSignatures. If they can't, those that
// the key identifiers lead to may do: an authority that changes its key has many certificates of one name.
func bounded(leaf *x509.Certificate, intermediates, configured []*x509.Certificate, names nameCount) (
	[]*x509.Certificate, error,
) {
	for range 2 {
		s := search{intermediates: intermediates, configured: configured, names: names, left: MaxSignatures}
		if s.climb([]*x509.Certificate{leaf}) {
			return intermediates, nil
		}
		intermediates = above(leaf, intermediates, isLikely)
	}
	return nil, errSignatures
}

func (s *search) climb(way []*x509.Certificate) bool {
	c := way[len(way)-1]
	if n := s.names[string(c.RawIssuer)]; n > 0 && !contains(s.configured, c) {
		if s.byRoots += n; s.byRoots > mostByRoots(n) {
			return false
		}
	}
	var tried []*x509.Certificate
	for _, issuer := range s.intermediates {
		is := func(other *x509.Certificate) bool { return isTwin(issuer, other) }
		if !isIssuer(issuer, c) || !maySign(issuer) || slices.ContainsFunc(way, is) || contains(tried, issuer) {
			continue
		}
		tried = append(tried, issuer)
		if s.left -= effort(issuer); s.left < 0 {
			return false
		}
		if !s.climb(append(slices.Clip(way), issuer)) {
			return false
		}
	}
	return true
}

// isTwin is what crypto/x509 never has twice on one way: the same name, key and alternative names.
func isTwin(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) &&
		bytes.Equal(extension(a, oidSubjectAltName), extension(b, oidSubjectAltName))
}

// maySign leaves out what crypto/x509 refuses without a look at the signature.
func maySign(c *x509.Certificate) bool {
	if c.Version == 3 && !c.BasicConstraintsValid || c.BasicConstraintsValid && !c.IsCA {
		return false
	}
	return c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCertSign != 0
}

func effort(c *x509.Certificate) int {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() > 4096 {
			return 2
		}
	case *ecdsa.PublicKey:
		switch bits := k.Curve.Params().BitSize; {
		case bits > 384:
			return 4
		case bits > 256:
			return 2
		}
	}
	return 1
}
