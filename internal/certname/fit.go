package certname

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

const (
	maxSent  = 40       // certificates, with the leaf
	maxBytes = 64 << 10 // of all together; a handshake can't carry more
	minRSA   = 2048     // bits
)

// Fit refuses what is too much to work on, and keys and usages that no client can authenticate with. Usages are the extended
// key usages of which a certificate that is restricted to some must have one.
func Fit(leaf *x509.Certificate, sent []*x509.Certificate, usages []x509.ExtKeyUsage) error {
	if n := 1 + len(sent); n > maxSent {
		return fmt.Errorf("%d certificates sent, at most %d are read: send those of the way to the root alone", n, maxSent)
	}
	total := 0
	for _, x := range append([]*x509.Certificate{leaf}, sent...) {
		total += len(x.Raw)
		if len(x.Raw) > MaxCertificate || total > maxBytes {
			return fmt.Errorf("certificates of more than %d bytes, or %d together", MaxCertificate, maxBytes)
		}
		if err := jwk.Affordable(x.PublicKey); err != nil {
			return err
		}
	}
	switch {
	case !slices.Contains([]x509.PublicKeyAlgorithm{x509.RSA, x509.ECDSA, x509.Ed25519}, leaf.PublicKeyAlgorithm):
		return errors.New("a key that is not RSA, ECDSA or Ed25519")
	case leaf.PublicKeyAlgorithm == x509.RSA && rsaBits(leaf) < minRSA:
		return fmt.Errorf("an RSA key of %d bits", rsaBits(leaf))
	// RFC 8446, section 4.4.2.2: where there is a key usage, it must have digitalSignature.
	case leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("its key usage doesn't allow to authenticate")
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("unknown critical extension %v", leaf.UnhandledCriticalExtensions[0])
	case !usable(leaf, usages):
		return errors.New("its extended key usage is another")
	}
	return nil
}

// usable is what crypto/x509 asks of a chain, for those that are none.
func usable(c *x509.Certificate, usages []x509.ExtKeyUsage) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 || slices.Contains(usages, x509.ExtKeyUsageAny) {
		return true
	}
	return slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool {
		return u == x509.ExtKeyUsageAny || slices.Contains(usages, u)
	})
}

func rsaBits(c *x509.Certificate) int {
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok {
		return k.N.BitLen()
	}
	return 0
}

// SelfIssued tells whether a certificate names itself as its issuer: nobody else vouches for it.
func SelfIssued(c *x509.Certificate) bool { return string(c.RawIssuer) == string(c.RawSubject) }
