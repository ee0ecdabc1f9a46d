package certname

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
)

// Verify is x509.Certificate.Verify with all name constraints: it returns the chains that Check has nothing against. An
// intermediate whose constraints are critical, as RFC 5280 wants them to be, counts even if crypto/x509 knows only some
// of their forms. A root in the pool can't be helped like that: a pool doesn't show its certificates.
func Verify(leaf *x509.Certificate, intermediates []*x509.Certificate, o x509.VerifyOptions) ([][]*x509.Certificate, error) {
	o.Intermediates = x509.NewCertPool()
	for _, c := range intermediates {
		o.Intermediates.AddCert(understood(c))
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		return nil, err
	}
	return Holding(chains)
}

// understood returns a certificate whose name constraints Check understands: a copy, if crypto/x509 does not.
func understood(c *x509.Certificate) *x509.Certificate {
	isOurs := func(id asn1.ObjectIdentifier) bool { return id.Equal(oidNameConstraints) }
	if !slices.ContainsFunc(c.UnhandledCriticalExtensions, isOurs) {
		return c
	}
	own := *c
	own.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), isOurs)
	return &own
}

// Holding returns those of the chains that Check has nothing against, or what it has against the first.
func Holding(chains [][]*x509.Certificate) ([][]*x509.Certificate, error) {
	var good [][]*x509.Certificate
	var first error
	for _, chain := range chains {
		err := Check(chain)
		switch {
		case err == nil:
			good = append(good, chain)
		case first == nil:
			first = err
		}
	}
	if len(good) == 0 && first == nil {
		first = errors.New("no chain")
	}
	if len(good) > 0 {
		return good, nil
	}
	return nil, first
}
