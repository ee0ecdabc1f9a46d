package revocation

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
	"unsafe"
)

// signature is who has signed a list, as seen from one issuer.
type signature struct {
	issuer, above *x509.Certificate   // seen from whom
	by            []*x509.Certificate // those of Options.ListSigners that have the key; nil: it is the issuer's
	err           error               // neither
}

func (l *list) issued() time.Time  { return l.this }
func (l *list) expires() time.Time { return l.next }

// size is what the list takes, once it is sealed.
func (l *list) size() int {
	n := 1<<10 + len(l.issuer) + l.serials.size
	for _, p := range l.scope.points {
		n += int(unsafe.Sizeof(p)) + len(p)
	}
	if l.number != nil {
		n += len(l.number.Bits()) * int(unsafe.Sizeof(big.Word(0)))
	}
	return n
}

// seal lets go of what is signed: whom the list can be asked about has been found out.
func (l *list) seal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.issuer, l.authorityKey = bytes.Clone(l.issuer), nil
	l.signed, l.crl, l.checks = nil, nil, nil
	for key, made := range l.made {
		made.issuer, made.above = nil, nil
		l.made[key] = made
	}
}

var errOtherScope = errors.New("a CRL of another issuer, or for other certificates")

// says holds a list that the issuer has signed against one certificate. Whom it names, it revokes, also when it is over
// or meant for others: serial numbers are unique to an issuer. It acquits nobody but those that it is about, and today.
func (l *list) says(s subject, made signature, now time.Time) (revoked, hold bool, err error) {
	found, hold := l.serials.find(s.serial)
	switch {
	case !bytes.Equal(l.issuer, s.cert.RawIssuer):
		return false, false, errOtherScope
	case made.err != nil:
		return false, false, made.err
	case found && (!hold || current(now, l)):
		return true, hold, nil
	case !l.isAbout(s.cert):
		return false, false, errOtherScope
	case !current(now, l):
		return false, false, outOfDate("a CRL", l)
	case made.by == nil && !maySignLists(s.issuer):
		return false, false, errors.New("a CRL of an issuer whose certificate doesn't allow it to sign any")
	}
	return false, false, nil
}

// isAbout: a partition of the issuer's list must be the one that the certificate names, or another partition would
// acquit it.
func (l *list) isAbout(cert *x509.Certificate) bool {
	switch {
	case l.scope.users && cert.IsCA, l.scope.authorities && !cert.IsCA:
		return false
	case l.scope.points == nil:
		return true
	}
	named := cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), maxPoints)]
	return slices.ContainsFunc(l.scope.points, func(p string) bool { return slices.Contains(named, p) })
}

// current looks at a period; it ends with nextUpdate, when there is something newer.
func current(now time.Time, d dated) bool {
	return !now.Add(skew).Before(d.issued()) && now.Before(d.expires())
}

// ahead tells of what is of the future, by more than a clock may be wrong.
func ahead(now time.Time, d dated) bool { return now.Add(skew).Before(d.issued()) }

func outOfDate(what string, d dated) error {
	return fmt.Errorf("%s for %s to %s", what, d.issued().UTC().Format(time.RFC3339), d.expires().UTC().Format(time.RFC3339))
}

func within(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
