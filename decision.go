package popauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/reply"
)

// decision is what a Guard has found out about one request's credentials. It is also the context of the request that a
// stage hands on: one allocation less.
type decision struct {
	context.Context // nil until then

	guard       *Guard
	outer       *decision // of the Guard outside this one
	presented   presented
	scheme      string
	token       *Token       // shared with other requests, as is certificate
	remembered  bool         // the token was, so that it needed no verification
	certificate *Certificate // nil if there is none
	header      http.Header  // what the Confirmers put on the answer
	lines       reply.Lines
}

// within returns ctx with the decision in it.
func (d *decision) within(ctx context.Context) context.Context {
	if d.Context != nil { // it is another request's, or was hidden by NewContext
		return context.WithValue(ctx, principalKey{}, d)
	}
	d.Context = ctx
	return d
}

// Value implements context.Context.
func (d *decision) Value(key any) any {
	if key == (principalKey{}) {
		return d
	}
	return d.Context.Value(key)
}

// String is for those who print contexts, as GoString is: a decision has the token in it.
func (d *decision) String() string { return "popauth.decision" }

// GoString implements fmt.GoStringer.
func (d *decision) GoString() string { return d.String() }

// presented is what a decision was made on. The same handler may serve a request that was made from the first, with
// its context, but another method, another path or other credentials.
type presented struct {
	line                 uint64
	authorization, proof string
	connection           *tls.ConnectionState
	leaf                 *x509.Certificate
	extraction           *extraction
}

// principal returns a Principal that its owner may change.
func (d *decision) principal() *Principal {
	return d.token.principal(d.certificate.at(time.Now()))
}

func (g *Guard) present(r *http.Request) presented {
	p := presented{
		line:          lineSum(r, g.options.RequestLine.rewritten(r)),
		authorization: strings.Join(r.Header["Authorization"], "\n"),
		proof:         strings.Join(r.Header["Dpop"], "\n"),
		connection:    r.TLS,
		extraction:    extracted(r),
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		p.leaf = r.TLS.PeerCertificates[0]
	}
	return p
}

// decide authenticates the request, or returns the decision of an earlier stage of this Guard on the same
// credentials: a proof may be good for one use only.
func (g *Guard) decide(r *http.Request) (*decision, *Error) {
	if g == nil || g.options.Verifier == nil {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	g.metadata.serve()
	err := g.options.RequestLine.read(r)
	if err == nil {
		err = early(r)
	}
	now := g.present(r)
	if err == nil {
		if d := g.decided(r, now); d != nil {
			return d, nil
		}
	}
	d := &decision{guard: g, outer: latest(r.Context()), presented: now}
	observed := g.observe(r.Context(), StageAuthenticate)
	if err == nil {
		err = g.authenticate(r, d)
	}
	observed(d, err)
	if err != nil {
		if err.used == "" {
			err.used = d.scheme
		}
		err.challenges, err.header = g.challenges(err), d.header
		return nil, err
	}
	return d, nil
}

// decided returns the decision of an earlier stage of this Guard on the same credentials; nil if there is none.
func (g *Guard) decided(r *http.Request, now presented) *decision {
	// A stage removes the headers of a proxy: where they are, they are new.
	if source, ok := g.options.Certificate.(managing); ok && source.carried(r) {
		return nil
	}
	for d := latest(r.Context()); d != nil; d = d.outer {
		if d.guard != g {
			continue
		}
		if d.presented == now {
			return d
		}
		if inner := d.behind(now, g.source); inner != nil {
			return inner
		}
	}
	return nil
}

// behind returns the decision as it is behind a handler that has found the same certificate once more, as
// RequireCertificate does inside of a stage; nil if now is something else. To decide anew would use up a proof twice.
func (d *decision) behind(now presented, source CertificateSource) *decision {
	x := now.extraction
	now.extraction = d.presented.extraction
	if d.presented != now || x == nil || !x.isInside(now.extraction) {
		return nil
	}
	inner := *d
	inner.presented.extraction, inner.Context = x, nil
	if !asksOthers(source) {
		return &inner
	}
	if (x.certificate == nil) != (d.certificate == nil) || x.certificate != nil && x.certificate.digest() != d.certificate.digest() {
		return nil
	}
	if _, theirs := source.(callerSource); theirs {
		inner.certificate = x.certificate
	}
	return &inner
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
