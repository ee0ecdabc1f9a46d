package certname

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// maxWrong is how many of the signatures on the way down from the roots may be wrong: who has been certified by several roots
// of one name may send what those have signed that aren't trusted, too. The path building of the suites bettertls and
// x509-limbo needs three.
const maxWrong = 3

var errWrong = fmt.Errorf("more than %d of the intermediates name an authority that hasn't issued them: send those of the "+
	"certificate's own way alone", maxWrong)

// vouched returns those of the intermediates above the leaf that one of the roots vouches for, itself or by others of them.
// crypto/x509 begins at the leaf, where a stranger has made all keys and chooses the slowest; from above, the first
// signature that it has made itself is by a key that is not its own, and wrong. A pool that is nil, the system's, doesn't
// say whose names it has: all may be vouched for then, and MaxSignatures is the bound.
func vouched(leaf *x509.Certificate, intermediates []*x509.Certificate, roots *x509.CertPool) ([]*x509.Certificate, error) {
	if roots == nil {
		return intermediates, nil
	}
	rest := above(leaf, intermediates)
	d := descent{}            // bounded has counted these ways
	names := roots.Subjects() //nolint:staticcheck // SA1019: it leaves out the system's roots, and these are none
	rest, err := d.sort(rest, func(c *x509.Certificate) (bool, error) {
		isRoots := func(name []byte) bool { return bytes.Equal(name, c.RawIssuer) }
		if !slices.ContainsFunc(names, isRoots) {
			return false, nil
		}
		return d.check(underRoots(c, roots))
	})
	for i := 0; err == nil && i < len(d.good); i++ {
		issuer := d.good[i]
		rest, err = d.sort(rest, func(c *x509.Certificate) (bool, error) {
			if !isIssuer(issuer, c) || !maySign(issuer) {
				return false, nil
			}
			return d.check(func() bool { return c.CheckSignatureFrom(issuer) == nil })
		})
	}
	return d.good, err
}

// above returns the intermediates that names lead to from the leaf, each once.
func above(leaf *x509.Certificate, intermediates []*x509.Certificate) []*x509.Certificate {
	var found []*x509.Certificate
	for below := []*x509.Certificate{leaf}; len(below) > 0; below = below[1:] {
		for _, c := range intermediates {
			same := func(other *x509.Certificate) bool { return bytes.Equal(c.Raw, other.Raw) }
			if isIssuer(c, below[0]) && !slices.ContainsFunc(found, same) {
				found, below = append(found, c), append(below, c)
			}
		}
	}
	return found
}

// descent goes down from the roots.
type descent struct {
	good  []*x509.Certificate
	wrong int
}

// sort moves those that are vouched for to the good ones, and returns the rest.
func (d *descent) sort(all []*x509.Certificate, is func(*x509.Certificate) (bool, error)) (rest []*x509.Certificate, err error) {
	for _, c := range all {
		ok, err := is(c)
		switch {
		case err != nil:
			return nil, err
		case ok:
			d.good = append(d.good, c)
		default:
			rest = append(rest, c)
		}
	}
	return rest, nil
}

func (d *descent) check(verify func() bool) (bool, error) {
	if verify() {
		return true, nil
	}
	if d.wrong++; d.wrong > maxWrong {
		return false, errWrong
	}
	return false, nil
}

// underRoots tells whether a root has signed the certificate. Everything else that may be wrong with it is for the
// search to say: it has an end of its period that is to come, and no critical extension.
func underRoots(c *x509.Certificate, roots *x509.CertPool) func() bool {
	return func() bool {
		own := *c
		own.UnhandledCriticalExtensions = nil
		_, err := own.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: c.NotAfter, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
		return !unknown
	}
}
