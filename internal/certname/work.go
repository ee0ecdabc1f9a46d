package certname

import (
	"crypto/x509"
	"fmt"
)

// MaxWork bounds what one call of Check, Holding or Verify compares, over all chains and all certificates of each. A name
// against a subtree is one comparison; reading either counts too, and so does length. All of it together costs less than
// three verifications of a signature by ECDSA with P-256: whoever opens a connection must not buy more with a certificate.
const MaxWork = 5 << 10

const (
	costOfName      = 12 // to read it: a name or a subtree
	costOfAttribute = 24 // of a directory name
	bytesPerUnit    = 32
)

// work is one call's: what is left of MaxWork, and what was read before.
type work struct {
	left   int
	limits map[*x509.Certificate]*limits
	borne  map[bearer][]name
}

// bearer is a certificate in its place in a chain: of a leaf further names count.
type bearer struct {
	certificate *x509.Certificate
	isLeaf      bool
}

func newWork() *work {
	return &work{left: MaxWork, limits: map[*x509.Certificate]*limits{}, borne: map[bearer][]name{}}
}

// spend is called before the work is done.
func (w *work) spend(n, length int) error {
	if w.left -= n + length/bytesPerUnit; w.left < 0 {
		w.left = 0
		return errWork
	}
	return nil
}

var errWork = fmt.Errorf("its names and the name constraints above it take more than %d comparisons, and no more are made: "+
	"ask the authority for a certificate with fewer names, or for fewer constraints", MaxWork)

// limitsOf returns the name constraints of a certificate; nil if it has none.
func (w *work) limitsOf(c *x509.Certificate) (*limits, error) {
	if l, ok := w.limits[c]; ok {
		return l, nil
	}
	value := extension(c, oidNameConstraints)
	if value == nil {
		return nil, nil
	}
	l, err := w.readLimits(value)
	if err != nil {
		return nil, err
	}
	w.limits[c] = l
	return l, nil
}

// namesOf returns every name that somebody may take a certificate for.
func (w *work) namesOf(c *x509.Certificate, isLeaf bool) ([]name, error) {
	key := bearer{c, isLeaf}
	if all, ok := w.borne[key]; ok {
		return all, nil
	}
	all, err := w.bears(c, isLeaf)
	if err != nil {
		return nil, err
	}
	w.borne[key] = all
	return all, nil
}
