package popauth

import (
	"crypto/x509"
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/reply"
)

// station is a handler of this package that requests pass, or NewContext.
type station struct {
	guard   *identity         // nil if it is no Guard's
	source  CertificateSource // of its own; nil if it goes by what is found further out
	standIn *Principal        // of NewContext, for tests
}

// decision is what a station has found out about one request, and hands on in its context: a Guard about its
// credentials, ClientCertificate about its caller's certificate alone.
type decision struct {
	finding
	lines reply.Lines // of the first answer
}

// finding is what may be copied of a decision.
type finding struct {
	outer       *decision // of a station further out, on the same request; nil if there is none
	by          *station
	arrived     *http.Request     // as it came to the station, but for what that removes
	leaf        *x509.Certificate // of the connection then
	presented   presented
	token       *Token       // shared with other requests, as is certificate
	remembered  bool         // the token was, so that it needed no verification
	under       schemeNumber // that the token came under, of the Guard's
	certificate *Certificate // nil if there is none
	header      http.Header  // what the Confirmers put on the answer
}

// String is for those who print contexts, as GoString is: a decision has the token in it.
func (d *decision) String() string { return "popauth.decision" }

// GoString implements fmt.GoStringer.
func (d *decision) GoString() string { return d.String() }

// presented is what a decision was made on. The same handler may serve a request that was made from the first, but with
// another method, another path or other credentials.
type presented struct {
	line        uint64    // and the proof: see lineSum
	credentials uint64    // see credentialSum
	extraction  *decision // of a handler further out; those of the Guard's own stages don't count
}

// principal returns a Principal that its owner may change.
func (d *decision) principal() *Principal {
	return d.token.principal(d.certificate.at(time.Now()))
}

// refused returns the refusal of a request whose token is genuine.
func (d *decision) refused(err error, otherwise Reason) *Error {
	e := refused(err, otherwise)
	e.who = d.token.who()
	return e
}

var credentialSeed = maphash.MakeSeed()

// credentialSum stands for a request's credentials. A decision keeps no text of them: a server may read the next request
// into the memory that they are in, as fasthttp's does, and they would be the same as those again.
func credentialSum(r *http.Request) uint64 {
	return maphash.String(credentialSeed, credentialText(r))
}

func credentialText(r *http.Request) string { return strings.Join(r.Header["Authorization"], "\n") }

// on returns the decision as it is for r. The identity in it ends where r names another host than the connection was made
// for; the binding doesn't.
func (d *decision) on(r *http.Request) *decision {
	c := d.certificate.on(r)
	if c == d.certificate {
		return d
	}
	inner := &decision{finding: d.finding}
	inner.certificate = c
	return inner
}

// behind returns the decision as it is behind a handler that has found the same certificate once more, as
// clientcert.Require does inside of a stage; nil if now is something else. To decide anew would use up a proof twice.
// What the Guard's source goes by counts.
func (d *decision) behind(now presented, by goesBy) *decision {
	x := now.extraction
	now.extraction = d.presented.extraction
	if d.presented != now || !x.isInside(now.extraction) {
		return nil
	}
	inner := &decision{finding: d.finding}
	inner.presented.extraction = x
	if by == goesByItself {
		return inner
	}
	if !sameCertificate(x.certificate, d.certificate) {
		return nil
	}
	if by == goesByOthers {
		inner.certificate = x.certificate
	}
	return inner
}

// extraction returns the innermost decision of a station with a source, but for those of a Guard; nil if there is none.
func (d *decision) extraction(but *identity) *decision {
	for ; d != nil; d = d.outer {
		if d.by.source != nil && (but == nil || d.by.guard != but) {
			return d
		}
	}
	return nil
}

// isInside tells whether d was made behind outer, on the same request; everything is behind nothing.
func (d *decision) isInside(outer *decision) bool {
	for d != outer && d != nil {
		d = d.outer
	}
	return d == outer
}
