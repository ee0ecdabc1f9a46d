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
	under       uint16       // the number of the Guard's scheme that the token came under, from 1; 0 if it isn't known
	certificate *Certificate // nil if there is none
	header      http.Header  // what the Confirmers put on the answer
}

// String is for those who print contexts, as GoString is: a decision has the token in it.
func (d *decision) String() string { return "popauth.decision" }

// GoString implements fmt.GoStringer.
func (d *decision) GoString() string { return d.String() }

// scheme is the authentication scheme of the request; "" if it isn't known.
func (d *decision) scheme() string {
	if d.under == 0 {
		return ""
	}
	return d.by.guard.schemes[d.under-1].scheme
}

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

func (g *Guard) present(r *http.Request, outer *decision) presented {
	return presented{
		line:        lineSum(r, g.options.RequestLine.rewritten(r)),
		credentials: credentialSum(r),
		extraction:  outer.extraction(g),
	}
}

var credentialSeed = maphash.MakeSeed()

// credentialSum stands for a request's credentials. A decision keeps no text of them: a server may read the next request
// into the memory that they are in, as fasthttp's does, and they would be the same as those again.
func credentialSum(r *http.Request) uint64 {
	return maphash.String(credentialSeed, credentialText(r))
}

func credentialText(r *http.Request) string { return strings.Join(r.Header["Authorization"], "\n") }

// decide authenticates the request, or returns the decision of an earlier stage of this Guard on the same
// credentials: a proof may be good for one use only. The source alone sees the request as it was sent; everybody else
// sees it clean, without the source's headers.
func (g *Guard) decide(sent, clean *http.Request) (*decision, *Error) {
	if g == nil || g.options.Verifier == nil {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	g.metadata.serve()
	err := g.options.RequestLine.read(clean)
	if err == nil {
		err = early(clean)
	}
	outer := passed(clean)
	now := g.present(clean, outer)
	if err == nil {
		if d := g.decided(sent, clean, now, outer); d != nil {
			return d, nil
		}
	}
	d := &decision{finding: finding{outer: outer, by: g.station, arrived: clean, leaf: onerequest.Leaf(clean), presented: now}}
	observed := g.observe(clean.Context(), StageAuthenticate)
	if err == nil {
		err = endOf(clean.Context(), g.authenticate(sent, clean, d))
	}
	observed(d, err)
	if err != nil {
		if err.used == "" {
			err.used = d.scheme()
		}
		err.challenges, err.header = g.challenges(err), d.header
		return nil, err
	}
	return d, nil
}

// decided returns the decision of an earlier stage of this Guard on the same credentials; nil if there is none.
func (g *Guard) decided(sent, clean *http.Request, now presented, outer *decision) *decision {
	for d := outer; d != nil; d = d.outer {
		if d.by.guard != g {
			continue
		}
		same := d
		if d.presented != now {
			same = d.behind(now, g.source)
		}
		if same != nil && g.confirms(same, sent) && g.holdsFor(same, clean) {
			return same.on(clean)
		}
	}
	return nil
}

// holdsFor tells whether what a decision's token was confirmed by holds for the host that r names now. Middleware in between
// may have changed that, and a DPoP proof is for one host; of somebody else's Confirmer nobody knows.
func (g *Guard) holdsFor(d *decision, r *http.Request) bool {
	if d.arrived.Host == r.Host {
		return true
	}
	for _, b := range d.token.bindings {
		switch c := g.confirmers[b.Member].Confirmer.(type) {
		case MutualTLS:
		case DPoP:
			if !c.sameTarget(d.arrived, r) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

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

// confirms tells whether the headers of a proxy, if there are any, still say the certificate that a decision was made on. A
// stage removes them, but not where an adapter makes each of its handlers a request of its own.
func (g *Guard) confirms(d *decision, sent *http.Request) bool {
	if !g.headers.carried(sent) {
		return true
	}
	c, err := obtain(g.source, sent)
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
