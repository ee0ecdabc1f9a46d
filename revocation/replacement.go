package revocation

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// maxKept is how many lists of a file are kept that are not in it any more. Those that end first go.
const maxKept = 64

// replace returns the lists of a file that was read again, and those of before that none of them takes the place of: the
// new one is older, nobody has signed it who had signed the one before, or there is none. Who can write to the file, or to
// where it was fetched from, must not get rid of a list. What is kept is logged once, and acquits until its nextUpdate.
func (f *file) replace(before, lists []*list) []*list {
	var kept []*list
	for _, old := range before {
		why := f.standsAgainst(old, lists)
		if why == nil {
			continue
		}
		if !old.kept {
			f.options.Logger.Warn("CRL of a file not replaced, the one before stays in force", slog.String("path", f.path),
				slog.String("issuer", name(old.issuer)), slog.Time("nextUpdate", old.next), slog.String("error", why.Error()))
		}
		kept = append(kept, old.keep())
	}
	slices.SortStableFunc(kept, func(a, b *list) int { return b.next.Compare(a.next) })
	return append(lists, kept[:min(len(kept), maxKept)]...)
}

// standsAgainst is why none of these takes the place of a list; nil: one does. Signatures are checked as seen from
// everybody from whom the list before was seen, so that the requests needn't.
func (f *file) standsAgainst(old *list, lists []*list) error {
	now := f.options.Now()
	seen := false
	for _, made := range old.seenFrom() {
		if made.err != nil {
			continue
		}
		seen = true
		s := from(made.issuer, made.above)
		if err := old.outlasts(now, lists, func(l *list) bool { return l.signatureFor(s, f.options.signers).err == nil }); err != nil {
			return err
		}
	}
	if seen {
		return nil
	}
	// Nobody has asked: then it isn't known yet who may sign it, and its name and key identifier have to do.
	return old.outlasts(now, lists, func(l *list) bool { return bytes.Equal(l.authorityKey, old.authorityKey) })
}

// outlasts is why a list stays in force beside these, of which such count as the same authority's.
func (l *list) outlasts(now time.Time, lists []*list, same func(*list) bool) error {
	err := errors.New("the file has none of this issuer and scope any more: put the authority's list back into it, " +
		"or start the process anew if the authority is gone for good")
	for _, other := range lists {
		switch {
		case !bytes.Equal(other.issuer, l.issuer) || !other.scope.equal(l.scope):
		case !same(other):
			err = errors.New("the one in its place has not been signed by the authority whose list it was: fetch it again, and find out " +
				"who has put it there; if the authority has renewed its key, put the new one's certificate into Options.ListSigners")
		case other.olderThan(l) && !ahead(now, l):
			err = fmt.Errorf("a CRL of %s, older than the one before, of %s: fetch the newest; if that one was issued by mistake, "+
				"start the process anew", other.this.UTC().Format(time.RFC3339), l.this.UTC().Format(time.RFC3339))
		default:
			return nil
		}
	}
	return err
}

// olderThan goes by the CRL number where both are of one second (RFC 5280, section 5.2.3).
func (l *list) olderThan(other *list) bool {
	if !l.this.Equal(other.this) || l.number == nil || other.number == nil {
		return l.this.Before(other.this)
	}
	return l.number.Cmp(other.number) < 0
}

// keep returns the list as one that isn't in its file any more. What is asked meanwhile has the other in hand.
func (l *list) keep() *list {
	if l.kept {
		return l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &list{
		issuer: l.issuer, authorityKey: l.authorityKey, number: l.number, this: l.this, next: l.next, kept: true,
		serials: l.serials, scope: l.scope, signed: l.signed, crl: l.crl, made: maps.Clone(l.made),
	}
}

// seenFrom returns who has signed the list, for everybody from whom it was seen.
func (l *list) seenFrom() []signature {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]signature, 0, len(l.made))
	for _, made := range l.made {
		all = append(all, made)
	}
	return all
}

// name is an issuer's, for a log.
func name(der []byte) string {
	var rdn pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdn); err != nil {
		return "unreadable"
	}
	return rdn.String()
}
