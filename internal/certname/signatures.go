package certname

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
)

// MaxSignatures bounds the signatures that one call of Verify checks by keys of intermediates. crypto/x509 goes all ways that
// names lead, one after the other, and stops after a hundred signatures; a caller who holds the keys of its own
// intermediates can always have it do that. A key that is slow to verify by counts as several: of P-384 as two, of P-521
// as four, of RSA with more than 4096 bits as two. The signatures of roots come on top, of which there is one for each
// certificate on a way: no more than MaxSignatures and one, if each root has a name of its own.
const MaxSignatures = 12

// search counts what crypto/x509 would do if every signature were good.
type search struct {
	intermediates []*x509.Certificate
	left          int
}

var errSignatures = fmt.Errorf("the intermediates open more ways to a root than %d signatures can tell, and no more are checked: "+
	"send each authority once, those of the certificate's own way alone", MaxSignatures)

// bounded refuses a leaf whose ways to a root can't be told within MaxSignatures.
func bounded(leaf *x509.Certificate, intermediates []*x509.Certificate) error {
	s := search{intermediates, MaxSignatures}
	if !s.climb([]*x509.Certificate{leaf}) {
		return errSignatures
	}
	return nil
}

func (s *search) climb(way []*x509.Certificate) bool {
	c := way[len(way)-1]
	var tried []*x509.Certificate
	for _, issuer := range s.intermediates {
		is := func(other *x509.Certificate) bool { return isTwin(issuer, other) }
		if !isIssuer(issuer, c) || !maySign(issuer) || slices.ContainsFunc(way, is) ||
			slices.ContainsFunc(tried, func(other *x509.Certificate) bool { return bytes.Equal(issuer.Raw, other.Raw) }) {
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
