package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/seed-171ab058/popauth/internal/onerequest"
)

// Principal is who a request comes from: the claims of a token that is genuine, meant for this API and, where it is
// bound, in the right hands.
type Principal struct {
	Issuer, Subject, ClientID, TokenID string // iss, sub, client_id, jti; "" if absent
	Audience, Scopes                   []string
	IssuedAt, ExpiresAt                time.Time // zero if absent

	// Bindings are the members of cnf; possession was proven for every one of them. Empty for a bearer token.
	Bindings []Binding

	// Certificate is the caller's; nil if it has none. It need not be what the token is bound to: see Bindings.
	Certificate *Certificate

	payload string
	clock   clock // of the Guard, while its policies run; else zero
}

// clock tells the time, and how far the issuer's may differ from it.
type clock struct {
	now    func() time.Time
	leeway time.Duration
}

// principal returns a Principal that its owner may change.
func (t *Token) principal(c *Certificate) *Principal {
	p := t.view(c)
	return p.clone()
}

// view returns a Principal that shares what it consists of with t and c.
func (t *Token) view(c *Certificate) Principal {
	return Principal{
		Issuer: t.issuer, Subject: t.subject, ClientID: t.clientID, TokenID: t.tokenID,
		Audience: t.audience, Scopes: t.scopes, IssuedAt: t.IssuedAt(), ExpiresAt: t.ExpiresAt(),
		Bindings: t.bindings, Certificate: c, payload: t.payload,
	}
}

// clone returns a Principal that its owner may change.
func (p *Principal) clone() *Principal {
	own := *p
	own.Certificate = p.Certificate.clone()
	own.Audience, own.Scopes, own.Bindings = slices.Clone(p.Audience), slices.Clone(p.Scopes), slices.Clone(p.Bindings)
	return &own
}

// asOfNow returns a Principal that its owner may change, with the certificate as it stands now.
func (p *Principal) asOfNow() *Principal {
	own := p.clone()
	own.Certificate = p.Certificate.at(time.Now()).clone()
	return own
}

// Claims decodes the claims of the principal's token into a T, whatever the token has beyond Principal's fields.
// Names must fit to the letter, upper and lower case included: give the fields of T json tags. It is an error if p
// has no claims, as one that was made by hand.
func Claims[T any](p *Principal) (T, error) {
	var claims T
	if p == nil || p.payload == "" {
		return claims, errors.New("popauth: Claims: a principal without a token")
	}
	if err := json.Unmarshal([]byte(p.payload), &claims); err != nil {
		var zero T
		return zero, fmt.Errorf("popauth: Claims: %w", err)
	}
	return claims, nil
}

type decisionKey struct{}

// innermost returns what the last station has put into ctx, for whichever request.
func innermost(ctx context.Context) *decision {
	d, _ := ctx.Value(decisionKey{}).(*decision)
	return d
}

// in returns r with the decision in its context.
func (d *decision) in(r *http.Request) *http.Request {
	return r.WithContext(&decidedContext{Context: r.Context(), val: d})
}

// real leaves out stand-ins, which nothing goes by.
func (d *decision) real() *decision {
	for d != nil && d.by.standIn != nil {
		d = d.outer
	}
	return d
}

// passed returns what stations further out have found out about this very request; nil if nothing.
func passed(r *http.Request) *decision {
	d := innermost(r.Context())
	switch real := d.real(); {
	case real == nil || real.about(r):
		return d
	case d != real:
		return &decision{finding: finding{by: d.by}} // of NewContext, which is about any request
	}
	return nil
}

// about tells whether d is about r, over the same connection. What is outside of d is about the same request as d.
func (d *decision) about(r *http.Request) bool {
	return onerequest.Same(d.arrived, r) && onerequest.SameCertificate(d.leaf, onerequest.Leaf(r))
}

// own returns r as a station checks it and hands it on: with text of its own, by which its copies are known.
func own(r *http.Request) *http.Request {
	if d := innermost(r.Context()).real(); d != nil {
		return onerequest.Own(r, d.arrived)
	}
	return onerequest.Own(r, nil)
}

// ofAnother tells whether r has the context of another request, whose stations have decided about that. A proxy's question
// is the request that its connection carries, whatever it asks about.
func ofAnother(r *http.Request) bool {
	d := innermost(r.Context()).real()
	if d == nil || d.about(r) {
		return false
	}
	q := onerequest.Question(r.Context())
	return q == nil || !d.about(q)
}

var errAnotherRequest = errors.New("a handler outside has decided about another request or connection, whose context this one has: " +
	"what serves requests on a connection that it has taken over belongs outside of ClientCertificate and Guard, or needs a " +
	"certificate of its own connection, by TLSCertificate; middleware that copies a request has to keep the RequestURI as it is")

// extracted returns what stations further out have found of the certificate of r's caller; nil if none has called
// a source. If they have for another request, that is an error: the certificate of the connection may be their proxy's.
func extracted(r *http.Request) (*decision, error) {
	d := innermost(r.Context()).real()
	x := d.extraction(nil)
	if x != nil && !d.about(r) {
		return nil, &Error{Reason: ErrAnotherRequest, Err: errAnotherRequest}
	}
	return x, nil
}

// found is the certificate of a decision, as it is for r; nil if there is no decision.
func (d *decision) found(r *http.Request) *Certificate {
	if d == nil {
		return nil
	}
	return d.certificate.on(r)
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

// ofServer tells whether ctx is one of the server that d's request comes from. Another server, on a connection that a
// handler has taken over, may serve its requests with this one's context.
func (d *decision) ofServer(ctx context.Context) bool {
	before, _ := d.arrived.Context().Value(http.ServerContextKey).(*http.Server)
	now, _ := ctx.Value(http.ServerContextKey).(*http.Server)
	return before == now
}

// FromContext returns who the request of ctx comes from; false if no Guard has let it pass. Each call returns a copy
// of its own, so that changing it changes no decision.
//
// A context says nothing about another request than its own. Whoever serves further requests with it, as a handler does
// that takes the connection over, needs a Guard for those, inside: that decides anew, but refuses to ask a proxy's headers.
func FromContext(ctx context.Context) (*Principal, bool) {
	for d := innermost(ctx); d != nil; d = d.outer {
		switch {
		case d.by.standIn != nil:
			own := *d.by.standIn
			return &own, true
		case d.by.guard != nil && d.ofServer(ctx):
			return d.principal(), true
		case d.by.guard != nil:
			return nil, false
		}
	}
	return nil, false
}

// NewContext returns a context from which FromContext takes p. It is for tests of handlers: a Guard never trusts it.
func NewContext(ctx context.Context, p *Principal) context.Context {
	own := *p
	return context.WithValue(ctx, decisionKey{}, &decision{finding: finding{outer: innermost(ctx), by: &station{standIn: &own}}})
}

// CertificateFromContext returns the certificate that a ClientCertificate or clientcert.Require handler has found, or a
// Guard with Options.Certificate; false if there is none. Each call returns a copy of its own. The context must be that
// of the request itself: see FromContext. An identity is one for the host that the request named at that handler, or at a
// clientcert.Require further in: a context doesn't know of middleware that has changed Request.Host since.
func CertificateFromContext(ctx context.Context) (*Certificate, bool) {
	x := innermost(ctx).extraction(nil)
	if x == nil || x.certificate == nil || !x.ofServer(ctx) {
		return nil, false
	}
	return x.certificate.at(time.Now()).clone(), true
}
