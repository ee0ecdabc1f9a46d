package certname

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

const (
	maxChain  = 10 // certificates of a chain that Verify returns, with the root
	maxChains = 4  // that are looked at: who sends more intermediates gets no more work done
)

// Check holds every name of a chain, leaf first and root last, against the name constraints of every certificate above
// it, the root's included and whether critical or not (RFC 5280, section 6.1.3 (b), (c)). The names are the whole
// subject, the mail addresses in it, the common names of the leaf that read like host names, and the subject alternative
// names. A constraint or a name that isn't understood refuses: it is never left out. So does more than MaxWork.
func Check(chain []*x509.Certificate) error { return newWork().check(chain) }

func (w *work) check(chain []*x509.Certificate) error {
	for upper := len(chain) - 1; upper > 0; upper-- {
		l, err := w.limitsOf(chain[upper])
		for lower := 0; err == nil && l != nil && lower < upper; lower++ {
			c := chain[lower]
			// RFC 5280, section 6.1.3: not those that are self-issued, unless it is the leaf.
			if lower > 0 && bytes.Equal(c.RawSubject, c.RawIssuer) {
				continue
			}
			var all []name
			if all, err = w.namesOf(c, lower == 0); err == nil {
				err = w.hold(l, all)
			}
		}
		if err != nil {
			return fmt.Errorf("name constraints of %.64q: %w", describe(chain[upper].RawSubject), err)
		}
	}
	return nil
}

// Verify is x509.Certificate.Verify with all name constraints: it returns the chains that Check has nothing against, of
// the first four that have at most ten certificates. An intermediate whose constraints are critical, as RFC 5280 wants
// them to be, counts even if crypto/x509 knows only some of their forms. A root in the pool can't be helped like that: a
// pool doesn't show its certificates. What takes more than MaxSignatures is refused before a signature is checked, and
// intermediates that no root vouches for are left out before one by their keys is. Those configured are the operator's own,
// beside those that the caller has sent.
func Verify(leaf *x509.Certificate, sent []*x509.Certificate, o x509.VerifyOptions, configured ...*x509.Certificate) (
	[][]*x509.Certificate, error,
) {
	w := newWork()
	// crypto/x509 holds names against constraints for each chain that it finds: what is too much for one is too much for it.
	if err := w.read(leaf, slices.Concat(configured, sent)); err != nil {
		return nil, err
	}
	intermediates, ended, err := onTheWay(leaf, sent, configured, o.Roots, runtime.GOOS)
	if err != nil {
		return nil, err
	}
	o.Intermediates = x509.NewCertPool()
	for _, c := range intermediates {
		o.Intermediates.AddCert(understood(c))
	}
	chains, err := leaf.Verify(o)
	switch {
	case err != nil && ended != nil:
		return nil, ended
	case err != nil:
		return nil, err
	}
	if chains = slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool { return len(chain) > maxChain }); len(chains) == 0 {
		return nil, fmt.Errorf("more than %d certificates on the way to a root", maxChain)
	}
	return w.holding(chains)
}

// read reads what a search may compare, if there is an intermediate with constraints. What can't be read may be on no way
// to a root: check says so then.
func (w *work) read(leaf *x509.Certificate, intermediates []*x509.Certificate) error {
	limited := false
	for _, c := range intermediates {
		l, err := w.limitsOf(c)
		if errors.Is(err, errWork) {
			return err
		}
		limited = limited || l != nil || err != nil
	}
	if !limited {
		return nil
	}
	for i, c := range append([]*x509.Certificate{leaf}, intermediates...) {
		if _, err := w.namesOf(c, i == 0); errors.Is(err, errWork) {
			return err
		}
	}
	return nil
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

// Holding returns those of the first four chains that Check has nothing against, or what it has against the first. MaxWork
// is for all of them together.
func Holding(chains [][]*x509.Certificate) ([][]*x509.Certificate, error) {
	return newWork().holding(chains)
}

func (w *work) holding(chains [][]*x509.Certificate) ([][]*x509.Certificate, error) {
	if len(chains) == 0 {
		return nil, errors.New("no chain")
	}
	var good [][]*x509.Certificate
	var first error
	for _, chain := range chains[:min(len(chains), maxChains)] {
		err := w.check(chain)
		switch {
		case err == nil:
			good = append(good, chain)
		case first == nil || errors.Is(err, errWork):
			first = err
		}
	}
	switch {
	case len(good) > 0:
		return good, nil
	case len(chains) > maxChains:
		return nil, fmt.Errorf("the first %d of %d ways to a root: %w", maxChains, len(chains), first)
	}
	return nil, first
}
