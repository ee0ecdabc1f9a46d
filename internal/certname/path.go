package certname

import (
	"crypto/x509"
	"slices"
	"time"
)

// Path is one way from a leaf to a root, and the time in which every certificate on it is valid.
type Path struct {
	Certificates []*x509.Certificate // leaf first
	From, Until  time.Time
}

// NewPath reads the periods of a chain.
func NewPath(chain []*x509.Certificate) Path {
	p := Path{chain, chain[0].NotBefore, chain[0].NotAfter}
	for _, x := range chain[1:] {
		if x.NotBefore.After(p.From) {
			p.From = x.NotBefore
		}
		if x.NotAfter.Before(p.Until) {
			p.Until = x.NotAfter
		}
	}
	return p
}

// Within is how crypto/x509 sees it: both ends belong to the period (RFC 5280, section 4.1.2.5).
func Within(now, from, until time.Time) bool { return !now.Before(from) && !now.After(until) }

// PeriodOf is a certificate's period in words.
func PeriodOf(c *x509.Certificate) string {
	return c.NotBefore.UTC().Format(time.RFC3339) + " to " + c.NotAfter.UTC().Format(time.RFC3339)
}

// validAt returns the paths that are valid at a time.
func validAt(paths []Path, now time.Time) []Path {
	return slices.DeleteFunc(slices.Clone(paths), func(p Path) bool { return !Within(now, p.From, p.Until) })
}
