package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/patience"
)

// errShare is why a source wasn't waited for any longer. It says nothing of whoever made the request: that one waits yet.
var errShare = fmt.Errorf("no answer within its share of Options.Timeout: %w", context.DeadlineExceeded)

// question is one certificate of a chain, asked about until a source knows it.
type question struct {
	subject
	position int

	known              bool
	inFiles, elsewhere error // why it isn't
	fileLate, late     bool  // a file, or another source, had no time to answer
}

func (q *question) err() error {
	switch err := errors.Join(q.inFiles, q.elsewhere); {
	case q.known:
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: no source knows its issuer", popauth.ErrCertificateUntrusted)
}

// Revoked tells whether a certificate of a verified chain has been revoked. The chain is leaf first; the last, the root,
// is not asked about. An error means that it can't be found out; one that wraps popauth.ErrCertificateUntrusted, that
// waiting won't help.
//
// The authorities are asked about first, those nearest the root before the others, so that whoever chose the addresses
// in a certificate neither takes the time for those above it, nor is asked once one of them is revoked.
func (c *Checker) Revoked(ctx context.Context, chain []*x509.Certificate) (bool, error) {
	if len(chain) < 2 {
		return false, nil
	}
	whole := patience.Share(ctx, c.options.Timeout)
	until := time.Now().Add(whole)
	own, cancel := context.WithTimeoutCause(ctx, whole, errShare)
	defer cancel()
	all := make([]question, 0, len(chain)-1)
	for i := len(chain) - 2; i >= 0; i-- {
		q := question{subject: newSubject(chain, i), position: i}
		// What is known for good waits for nobody.
		if w, ok := c.withdrawn.of(q.id); ok && w.byFiles == nil {
			return true, nil
		}
		all = append(all, q)
	}
	if c.decide(own, until, all) {
		return true, nil
	}
	return false, c.open(ctx, all)
}

// decide asks about all of them, first of them the one nearest the root, and tells whether one is revoked.
func (c *Checker) decide(ctx context.Context, until time.Time, all []question) (revoked bool) {
	if c.consultFiles(ctx, until, all) {
		return true
	}
	for i := range all {
		share := time.Until(until)
		if i < len(all)-1 {
			share /= 2 // however many certificates somebody has issued below it
		}
		if c.consultSources(ctx, &all[i], share) || !all[i].late && c.struckBefore(ctx, &all[i]) {
			return true
		}
	}
	// What is left of the time is for those that are slow.
	for i := range all {
		q := &all[i]
		if q.fileLate && c.consultFile(ctx, q) || q.late && c.consultSources(ctx, q, time.Until(until)) || c.struckBefore(ctx, q) {
			return true
		}
	}
	return false
}

// consultFiles asks the files about all of them. It leaves half of the time for other sources, if there are any.
func (c *Checker) consultFiles(ctx context.Context, until time.Time, all []question) (revoked bool) {
	if len(c.files) == 0 {
		return false
	}
	if c.options.OCSP || c.options.DistributionPoints {
		half, cancel := context.WithTimeoutCause(ctx, time.Until(until)/2, errShare)
		defer cancel()
		ctx = half
	}
	for i := range all {
		if c.consultFile(ctx, &all[i]) {
			return true
		}
	}
	return false
}

func (c *Checker) consultFile(ctx context.Context, q *question) (revoked bool) {
	said := c.byFiles(ctx, q.subject)
	q.known, q.inFiles, q.fileLate = q.known || said.known, said.err, errors.Is(said.err, errShare)
	switch {
	case said.revoked:
		if !said.hold {
			c.withdrawn.add(q.subject, c.options.Now(), &said)
		}
		return true
	case said.known:
		// Who keeps the files may have to mend one: a list that is no older, and doesn't have it.
		c.withdrawn.mend(q.subject, said.at)
	}
	_, known := c.withdrawn.of(q.id)
	return known
}

// consultSources asks what the certificate names, one address after the other, each for an equal part of the time, until
// one knows. It is asked again with more time where one was late; that one's fetch has gone on meanwhile.
func (c *Checker) consultSources(ctx context.Context, q *question, share time.Duration) (revoked bool) {
	if q.known {
		return false
	}
	until, again := time.Now().Add(share), q.late
	q.late, q.elsewhere = false, nil
	var why []error
	defer func() { q.elsewhere = errors.Join(why...) }()
	sources := c.sources(q.cert)
	for i, source := range sources {
		part := time.Until(until)
		if !again {
			part /= time.Duration(len(sources) - i)
		}
		own, cancel := context.WithTimeoutCause(ctx, part, errShare)
		revoked, hold, err := source.ask(own, source.address, q.subject)
		cancel()
		if err == nil {
			q.known = true
			if revoked && !hold {
				c.withdrawn.add(q.subject, c.options.Now(), nil)
			}
			return revoked
		}
		q.late = q.late || errors.Is(err, errShare)
		why = append(why, err)
	}
	return false
}

// source is one address that a certificate names.
type source struct {
	address string
	ask     func(ctx context.Context, address string, s subject) (revoked, hold bool, err error)
}

func (c *Checker) sources(cert *x509.Certificate) []source {
	var all []source
	if c.options.OCSP {
		for _, a := range cert.OCSPServer[:min(len(cert.OCSPServer), maxAddresses)] {
			all = append(all, source{a, c.askResponder})
		}
	}
	if c.options.DistributionPoints {
		for _, a := range cert.CRLDistributionPoints[:min(len(cert.CRLDistributionPoints), maxAddresses)] {
			all = append(all, source{a, c.fetchList})
		}
	}
	return all
}

// struckBefore: another certificate of the same authority was revoked. Whoever isn't known to be good is not let in by
// this one.
func (c *Checker) struckBefore(ctx context.Context, q *question) bool {
	if q.known || !q.cert.IsCA {
		return false
	}
	w, ok := c.withdrawn.of(q.authority())
	if !ok || w.byFiles == nil {
		return ok
	}
	said := c.byFiles(ctx, *w.byFiles)
	if said.known && !said.revoked {
		return !c.withdrawn.mend(*w.byFiles, said.at)
	}
	return true
}

// open is what to say if none is known to be revoked: nil if all are known to be good, or may be unknown.
func (c *Checker) open(ctx context.Context, all []question) error {
	for i := len(all) - 1; i >= 0; i-- { // the caller's own first
		q := &all[i]
		err := q.err()
		switch {
		case err == nil:
		case c.options.AllowUnknown && ctx.Err() == nil: // or nobody waits for the answer any more
			c.options.Logger.LogAttrs(ctx, slog.LevelWarn, "revocation unknown, certificate allowed",
				slog.String("serial", q.cert.SerialNumber.Text(16)), slog.Int("position", q.position), slog.String("error", err.Error()))
		default:
			return fmt.Errorf("revocation: certificate %d of the chain: %w", q.position, err)
		}
	}
	return nil
}
