package popauth

import (
	"crypto/x509"
	"hash/maphash"
	"net/http"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/onerequest"
	"github.com/seed-171ab058/popauth/internal/reply"
)

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

// present returns what a request presents to a Guard that goes by these rules.
func present(r *http.Request, rules RequestLine, outer *decision, guard *identity) presented {
	return presented{
		line:        lineSum(r, rules.rewritten(r)),
		credentials: credentialSum(r),
		extraction:  outer.extraction(guard),
	}
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

// agrees tells whether the headers of a proxy, if there are any, still say the certificate that the decision was made on. A
// stage removes them, but not where an adapter makes each of its handlers a request of its own.
func (d *decision) agrees(sent *http.Request, source CertificateSource, headers managedHeaders) bool {
	if !headers.carried(sent) {
		return true
	}
	c, err := obtain(source, sent)
	return err == nil && sameCertificate(c, d.certificate)
}

func sameCertificate(a, b *Certificate) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.digest() == b.digest()
}

// behind returns the decision as it is behind a handler that has found the same certificate once more, as
// RequireCertificate does inside of a stage; nil if now is something else. To decide anew would use up a proof twice.
func (d *decision) behind(now presented, source CertificateSource) *decision {
	x := now.extraction
	now.extraction = d.presented.extraction
	if d.presented != now || !x.isInside(now.extraction) {
		return nil
	}
	inner := &decision{finding: d.finding}
	inner.presented.extraction = x
	if !asksOthers(source) {
		return inner
	}
	if !sameCertificate(x.certificate, d.certificate) {
		return nil
	}
	if _, theirs := source.(callerSource); theirs {
		inner.certificate = x.certificate
	}
	return inner
}

// asksOthers tells whether a source may go by what a handler further out has found.
func asksOthers(source CertificateSource) bool {
	switch s := source.(type) {
	case tlsSource, *forwardedSource:
		return false
	case *verifiedSource:
		return asksOthers(s.source)
	}
	return true
}

// pass returns r with the decision in its context, innermost but for handlers that have found a certificate only.
func (d *decision) pass(r *http.Request) *http.Request {
	outer := passed(r)
	last := outer
	for last != nil && last.by.guard == nil && last.by.standIn == nil {
		last = last.outer
	}
	if last == d {
		return r
	}
	if last != nil && last.isInside(d) { // it stands in the context already, below another Guard's
		d = &decision{finding: d.finding}
	}
	d.outer, d.arrived, d.leaf = outer, r, onerequest.Leaf(r)
	return d.in(r)
}
