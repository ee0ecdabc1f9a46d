package revocation

import (
	"context"
	"crypto"
	"crypto/fips140"
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth"
)

// answer is what a responder said about one certificate.
type answer struct {
	revoked, hold bool
	unknown       bool // to the responder
	this, until   time.Time
	responder     *responder // nil: the issuer itself
}

// responder is who answers for an issuer: as much of its certificate as can be looked up in a list.
type responder struct {
	serial string
}

func (a *answer) issued() time.Time  { return a.this }
func (a *answer) expires() time.Time { return a.until }

func (a *answer) size() int {
	n := 256
	if a.responder != nil {
		n += len(a.responder.serial)
	}
	return n
}

// askResponder is for the issuer's name and key, and a serial number, which is all that a responder is told.
func (c *Checker) askResponder(ctx context.Context, address string, s subject) (revoked, hold bool, err error) {
	a, err := c.answers.get(ctx, digest("answer", []byte(address), s.id[:]), origin{s, address},
		func(ctx context.Context) (*answer, error) {
			request, err := ocsp.CreateRequest(s.cert, s.issuer, &ocsp.RequestOptions{Hash: questionHash()})
			if err != nil {
				return nil, err
			}
			into := c.bodies.begin(s.top)
			defer into.end()
			body, err := c.fetch(ctx, into, origin{s, address}, request, maxAnswerSize)
			if err != nil {
				return nil, err
			}
			now := c.options.Now()
			a, err := readAnswer(body, s, now, c.options.MaxAge)
			// Nobody may be waiting any more, and the answer may be pushed out before somebody asks again.
			if err == nil && a.revoked && !a.hold && (a.responder == nil || !c.struck(ctx, a.responder, s)) {
				c.withdrawn.add(s, now, nil)
			}
			return a, err
		})
	switch {
	case a != nil && a.responder != nil && c.struck(ctx, a.responder, s):
		return false, false, fmt.Errorf("OCSP: an answer of a responder that is revoked itself, serial %x", a.responder.serial)
	case a != nil && a.revoked && (err == nil || !a.hold):
		return true, a.hold, nil
	case a != nil && a.unknown:
		return false, false, fmt.Errorf("OCSP: %w: the responder doesn't know it", popauth.ErrCertificateUntrusted)
	}
	return false, false, within("OCSP", err)
}

// questionHash only names the issuer, so any will do (RFC 6960, section 4.1.1). SHA-1 is the one that every responder
// knows (RFC 5019, section 2.1.1). GODEBUG=fips140=only forbids it; there it is SHA-256, for responders that know that.
func questionHash() crypto.Hash {
	if fips140.Enforced() {
		return crypto.SHA256
	}
	return crypto.SHA1
}

// struck tells whether a responder is on a list of Options.Files. To ask elsewhere about who answers is what
// id-pkix-ocsp-nocheck is to spare (RFC 6960, section 4.2.2.2.1).
func (c *Checker) struck(ctx context.Context, r *responder, s subject) bool {
	own := from(s.issuer, s.above)
	own.serial = r.serial
	own.cert = &x509.Certificate{RawIssuer: s.issuer.RawSubject}
	return c.byFiles(ctx, own).revoked
}

// readAnswer makes the checks of RFC 6960, section 3.2. An answer that is over is returned as well: what it says of a
// revoked certificate stays true.
func readAnswer(body []byte, s subject, now time.Time, most time.Duration) (*answer, error) {
	said, err := parseResponse(body)
	if err != nil {
		return nil, err
	}
	by, err := said.signer(s.issuer, now)
	if err != nil {
		return nil, err
	}
	// What has been signed is left for the library to read, which knows fewer algorithms, and looks at the first
	// certificate alone.
	r, err := said.read(s.cert)
	if err != nil {
		return nil, err
	}
	if err := sameCertificate(r, s.cert, s.issuer); err != nil {
		return nil, err
	}
	a := &answer{revoked: r.Status == ocsp.Revoked, unknown: r.Status == ocsp.Unknown, this: r.ThisUpdate, until: r.NextUpdate}
	a.hold = a.revoked && r.RevocationReason == ocsp.CertificateHold
	if by != nil {
		a.responder = &responder{serial: string(by.SerialNumber.Bytes())}
	}
	if a.until.IsZero() {
		// Newer information is available all the time then (section 4.2.2.1); an old answer is one played back.
		a.until = a.this.Add(most)
	}
	if soon := now.Add(pause); a.unknown && soon.Before(a.until) {
		a.until = soon // it may have been issued a moment ago
	}
	return a, nil
}
