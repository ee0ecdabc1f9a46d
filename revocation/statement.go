package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// statement is what the files say of one certificate.
type statement struct {
	known, revoked, hold bool
	at                   time.Time // when the newest list was issued that says so
	err                  error     // of lists that say nothing, and of files that had no time to be read
}

// byFiles lets any list that names the certificate revoke it, and any acquit it that nothing else revokes.
func (c *Checker) byFiles(ctx context.Context, s subject) statement {
	now := c.options.Now()
	revokes, acquits := statement{known: true, revoked: true, hold: true}, statement{known: true}
	var hit, good bool
	var why []error
	for _, f := range c.files {
		lists, late := f.current(ctx, now)
		for _, l := range newest(c.signedFor(lists, s), now) {
			revoked, hold, err := c.holds(ctx, l.list, s, l.made, now)
			switch {
			case errors.Is(err, errOtherScope):
			case err != nil:
				why = append(why, err)
			case revoked:
				hit, revokes.hold = true, revokes.hold && hold
				revokes.at = later(revokes.at, l.this)
			default:
				good = true
				acquits.at = later(acquits.at, l.this)
			}
		}
		if late != nil {
			why = append(why, late)
		}
	}
	switch {
	case hit:
		return revokes
	case good && !late(why):
		return acquits
	}
	return statement{err: errors.Join(why...)}
}

// late tells whether a file had no time to be read: what isn't known of it may be a revocation.
func late(why []error) bool {
	return slices.ContainsFunc(why, func(err error) bool { return errors.As(err, new(*lateError)) })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// signedList is a list and who has signed it, as seen from one issuer.
type signedList struct {
	*list
	made signature
}

// signedFor returns the lists that bear the name of the subject's issuer.
func (c *Checker) signedFor(lists []*list, s subject) []signedList {
	var all []signedList
	for _, l := range lists {
		if bytes.Equal(l.issuer, s.cert.RawIssuer) {
			all = append(all, signedList{l, l.signatureFor(s, c.options.signers)})
		}
	}
	return all
}

// newest leaves out the lists of a file that a newer one supersedes, of the same scope: where each new list is appended, or
// where one is kept that is not in the file any more. A list supersedes none if nobody who may has signed it, or if it is of
// the future.
func newest(all []signedList, now time.Time) []signedList {
	return slices.DeleteFunc(all, func(old signedList) bool {
		return old.made.err == nil && slices.ContainsFunc(all, func(l signedList) bool {
			return l.made.err == nil && l.this.After(old.this) && !ahead(now, l.list) && l.scope.equal(old.scope)
		})
	})
}

func (s scope) equal(other scope) bool {
	return s.users == other.users && s.authorities == other.authorities && slices.Equal(s.points, other.points)
}

// holds is what a list says, if whoever has signed it may.
func (c *Checker) holds(ctx context.Context, l *list, s subject, made signature, now time.Time) (revoked, hold bool, err error) {
	if err := c.maySign(ctx, s, made, now); err != nil {
		return false, false, err
	}
	return l.says(s, made, now)
}

// maySign looks at the state of one of Options.ListSigners on the day (RFC 5280, section 6.3.3 (f)). One that is revoked
// itself neither acquits nor revokes. It needn't be known to be good: the option says that it is trusted.
func (c *Checker) maySign(ctx context.Context, s subject, made signature, now time.Time) error {
	if made.err != nil || len(made.by) == 0 {
		return made.err
	}
	if s.signer > 1 { // a key would vouch for itself
		return errors.New("a CRL about one of Options.ListSigners, by another of them whose own state depends on a third")
	}
	var err error
	for _, by := range made.by {
		switch {
		case now.Before(by.NotBefore) || now.After(by.NotAfter):
			err = fmt.Errorf("a CRL by one of Options.ListSigners that is outside its period, serial %x: "+
				"put its new certificate there", by.SerialNumber)
		case c.signerStruck(ctx, by, s):
			err = fmt.Errorf("a CRL by one of Options.ListSigners that is revoked itself, serial %x: take it out, "+
				"and have the authority issue a list by a key that is good", by.SerialNumber)
		default:
			return nil
		}
	}
	return err
}

// signerStruck asks all that a Checker asks about a certificate, in what is left of the time.
func (c *Checker) signerStruck(ctx context.Context, by *x509.Certificate, of subject) bool {
	s := newSubject([]*x509.Certificate{by, of.above}, 0)
	s.signer = of.signer + 1
	q := question{subject: s}
	return c.consultFile(ctx, &q) || c.consultSources(ctx, &q, remaining(ctx, c.options.Timeout)/2) || c.struckBefore(ctx, &q)
}

// remaining is the time until the context ends, and no more than most.
func remaining(ctx context.Context, most time.Duration) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return min(time.Until(at), most)
	}
	return most
}
