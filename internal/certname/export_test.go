package certname

import (
	"crypto/x509"
	"slices"
)

// OnTheWay returns the intermediates that Verify goes by on an operating system.
func OnTheWay(leaf *x509.Certificate, sent []*x509.Certificate, roots *x509.CertPool, goos string) ([]*x509.Certificate, error) {
	found, _, err := onTheWay(leaf, sent, nil, roots, goos)
	return found, err
}

// HidesRoots and MayHide tell which pools don't show all of their roots.
func HidesRoots(roots *x509.CertPool, goos string) bool { return hidesRoots(roots, goos) }

// MayHide is HidesRoots for something else than a pool.
func MayHide(pool any) bool { return mayHide(pool) }

// Descent is what a look from the roots down costs.
type Descent struct {
	ByRoots, ByKeys int // signatures, and effort
	Good            []*x509.Certificate
	Ended           error
}

// Descend looks from the roots down.
func Descend(leaf *x509.Certificate, sent []*x509.Certificate, roots *x509.CertPool, configured ...*x509.Certificate) Descent {
	d := newDescent(roots, configured)
	d.down(vouchable(leaf, slices.Concat(configured, sent)))
	return Descent{d.byRoots, d.byKeys, d.good, d.ended}
}
