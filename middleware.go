package popauth

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/managed"
	"github.com/seed-171ab058/popauth/internal/onerequest"
)

// Guard decides which requests reach a handler. Its stages authenticate, confirm and authorize, in that order, and each
// runs those before it that have not run: any one of them alone is safe. The zero Guard denies everything; New makes
// one that does not. Its rules never change, and it is safe for concurrent use. The only thing it records is the
// policies given to Authorize before the first request; Metadata publishes them.
//
// A Guard must not be copied: a stage of the copy knows nothing of what a stage of the other has decided.
type Guard struct {
	_        noCopy
	identity *identity
	station  *station
	line     RequestLine
	source   CertificateSource
	headers  managed.Headers // of source
	goesBy   goesBy          // source does
	prompt   bool            // source is ours: it runs no code of the program, and waits for nothing

	schemes    schemes
	tokens     examiner
	confirmers confirmers
	policies   authorizer
	observer   observer
	refusals   refusals
	unbound    unboundLog
	document   *document // nil: none
}

// noCopy has go vet find copies.
type noCopy struct{}

// Lock does nothing.
func (*noCopy) Lock() {}

// Unlock does nothing.
func (*noCopy) Unlock() {}

// New makes a Guard. The error lists every problem of the options. It makes no request: keys are fetched when the
// first token needs them.
func New(o Options) (*Guard, error) {
	o, err := o.complete()
	published, problems := newDocument(o.Resource, o.Verifier, o.Confirmers)
	if err := errors.Join(err, problems); err != nil {
		return nil, err
	}
	var named []Param
	if published != nil {
		named = []Param{{"resource_metadata", published.url}} // RFC 9728, section 5.1
	}
	for _, iss := range openIssuers(o.Verifier) {
		cmp.Or(o.Logger, slog.Default()).Warn("token types left open: tokens of other kinds are told by their claims alone", "issuer", iss,
			"advice", "set TokenTypes to at+jwt if the issuer writes it, else RequiredClaims to what its ID tokens don't have: "+
				"docs/tokens.md has a row for most")
	}
	ways, own, err := newConfirmers(o)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		identity: new(identity), line: o.RequestLine, source: o.Certificate,
		schemes:    newSchemes(o.Realm, named, own),
		tokens:     examiner{verifier: o.Verifier, revoked: o.Revoked, now: o.Now, leeway: o.Leeway},
		confirmers: ways,
		refusals:   refusals{log: newRefusalLog(o.Logger, o.LogPerMinute), deny: o.Deny},
		unbound:    newUnboundLog(o.Logger),
		document:   published,
	}
	g.observer = observer{tell: o.Observe, guard: g.identity, schemes: &g.schemes, confirmers: &g.confirmers}
	g.policies = authorizer{several: !isOfOneIssuer(o.Verifier), clock: clock{o.Now, o.Leeway}, schemes: &g.schemes, observer: &g.observer}
	if g.source == nil {
		g.source = CallerCertificate()
	}
	g.headers, _ = headersOf(g.source) // complete has checked the error
	_, g.prompt = g.source.(sharing)
	g.goesBy = goesByOf(g.source)
	g.station = &station{guard: g.identity, source: o.Certificate}
	if !o.OutliveToken {
		g.station.expiry = &expiry{o.Now, o.Leeway}
	}
	return g, nil
}

// orNone returns g, or a Guard that denies everything, as one does that is not there.
func (g *Guard) orNone() *Guard {
	if g == nil {
		return new(Guard)
	}
	return g
}

// Check is the decision of Authenticate and of Authorize with the policies given, without HTTP output. The error is
// an *Error, the Principal nil, unless the request may pass. Behind a stage of this Guard the request is authenticated
// already, and stays so for as long as it lasts: Recheck asks whether it still holds. Otherwise each Check does it anew,
// leaves nothing for a later one or a stage, and uses up a DPoP proof: Decide is for those who hand the request on, or
// answer it. Caches are not told whose the answer is: see Private.
//
// Policies and Confirmers see the request without the headers of Options.Certificate; in r itself they stay.
func (g *Guard) Check(r *http.Request, policies ...Policy) (*Principal, error) {
	d, err := g.Decide(r, policies...)
	if err != nil {
		return nil, err
	}
	return d.Principal, nil
}

// Decision is what Decide returns of a request that may pass.
type Decision struct {
	// Principal is who the request comes from.
	Principal *Principal

	// Request is what a stage would hand on: without the headers of Options.Certificate, and with the decision in its
	// context, for FromContext and the stages inside. Give handlers, logs and other servers this one. Its context ends with
	// the token, see Options.OutliveToken, or with that of the request which Decide was given: have your server cancel that, else
	// a timer waits for the token's end.
	Request *http.Request

	// Header is what the answer is to have, such as the nonce for the client's next DPoP proof; nil if there is nothing.
	// Put it into the answer before the handler writes.
	Header http.Header
}

// Decide is Check for programs that are no http.Handler, or hand the request on: what a stage does for a request, but for
// calling the next handler.
//
//	d, err := guard.Decide(r, popauth.Bound())
//	if err != nil {
//		guard.Refuse(w, r, err)
//		return
//	}
//	maps.Copy(w.Header(), d.Header)
//	popauth.Private(w.Header())
//	orders.ServeHTTP(w, d.Request)
func (g *Guard) Decide(r *http.Request, policies ...Policy) (*Decision, error) {
	g = g.orNone()
	r = own(r)
	clean := g.headers.Strip(r)
	d, err := g.decide(r, clean)
	if err == nil {
		err = g.policies.allow(clean, d, StageAuthorize, policies)
	}
	if err != nil {
		if d != nil && d.certificate == nil { // of its own refusals decide has asked
			explainAbsence(err, g.source, r)
		}
		return nil, err
	}
	return &Decision{d.principal(), d.pass(clean), d.header.Clone()}, nil
}

// Refuse answers a request that somebody else refuses, with an error of Check or one of its own, as the Guard answers
// those that it refuses itself: status, challenges, Options.Deny and a line in the log. An error that names no Reason
// is answered like ErrForbidden. Pass on the error of Check as it is: a bare Reason such as ErrNonceRequired has
// neither its scheme nor its nonce.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	g = g.orNone()
	g.refusals.write(w, g.headers.Strip(r), g.complete(r, err))
}

// Refusal is Refuse for programs that have no http.ResponseWriter, such as a gRPC service that a proxy asks: it returns the
// answer, and has it logged and observed. Options.Deny has no part in it.
//
//	d, err := guard.Decide(r, popauth.Scope("orders.read"))
//	if err != nil {
//		no := guard.Refusal(r, err)
//		return denied(no.Status, no.Header(), no.Problem()), nil
//	}
func (g *Guard) Refusal(r *http.Request, err error) Refusal {
	g = g.orNone()
	return g.refusals.answer(r, g.complete(r, err))
}

// complete makes of an error that somebody else refuses a request with what the Guard would have made of it.
func (g *Guard) complete(r *http.Request, err error) *Error {
	e := endOf(r.Context(), errorOf(err, ErrForbidden))
	if e.challenges == nil {
		e.challenges = g.schemes.challenges(e)
	}
	g.observer.outside(r.Context(), e)
	return e
}

// decide authenticates the request, or returns the decision of an earlier stage of this Guard on the same
// credentials: a proof may be good for one use only. The source alone sees the request as it was sent; everybody else
// sees it clean, without the source's headers.
func (g *Guard) decide(sent, clean *http.Request) (*decision, *Error) {
	if g.tokens.verifier == nil {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	g.document.serve()
	err := g.line.read(clean)
	if err == nil {
		err = early(clean)
	}
	outer := passed(clean)
	now := present(clean, g.line, outer, g.identity)
	if err == nil {
		if d := g.decided(sent, clean, now, outer); d != nil {
			return d, nil
		}
	}
	d := &decision{finding: finding{outer: outer, by: g.station, arrived: clean, leaf: onerequest.Leaf(clean), presented: now}}
	observed := g.observer.begin(clean.Context(), StageAuthenticate)
	if err == nil {
		err = endOf(clean.Context(), g.authenticate(sent, clean, d))
	}
	observed(d, err)
	if err != nil {
		explainAbsence(err, g.source, sent)
		if err.used == "" {
			err.used = g.schemes.name(d.under)
		}
		err.challenges, err.header = g.schemes.challenges(err), d.header
		return nil, err
	}
	return d, nil
}

// present returns what a request presents to a Guard that goes by these rules.
func present(r *http.Request, rules RequestLine, outer *decision, guard *identity) presented {
	return presented{
		line:        lineSum(r, rules.rewritten(r)),
		credentials: credentialSum(r),
		extraction:  outer.extraction(guard),
	}
}

// decided returns the decision of an earlier stage of this Guard on the same credentials; nil if there is none.
func (g *Guard) decided(sent, clean *http.Request, now presented, outer *decision) *decision {
	for d := outer; d != nil; d = d.outer {
		if d.by.guard != g.identity {
			continue
		}
		same := d
		if d.presented != now {
			same = d.behind(now, g.goesBy)
		}
		if same != nil && agree(g.headers, g.source, sent, same.certificate) &&
			g.confirmers.holdFor(same.token, g.schemes.name(same.under), same.arrived, clean) {
			return same.on(clean)
		}
	}
	return nil
}

// authenticate is the way of a request: its credentials, the token, the certificate, revocation, possession.
func (g *Guard) authenticate(sent, r *http.Request, d *decision) *Error {
	c, e := readCredentials(r, &g.schemes, g.tokens.verifier)
	if e != nil {
		return e
	}
	d.under = c.under
	// The token before the certificate: chains are verified, and responders called, for those alone who have one.
	t, err := g.tokens.verify(r.Context(), c.token)
	switch {
	case err != nil && !field.IsToken68(c.token):
		return &Error{Reason: ErrCredentialsMalformed, Err: errNoToken68}
	case err != nil:
		return errorOf(err, ErrTokenInvalid)
	}
	d.token, d.remembered = t, t.remembered()
	if d.certificate, err = obtainBy(g.headers, g.source, sent); err != nil {
		return d.errorOf(err, ErrCertificateMalformed)
	}
	if !g.prompt { // it may have waited
		if d.token, e = g.tokens.reverify(r.Context(), c.token, t); e != nil {
			return e
		}
	}
	if e := g.tokens.unrevoked(r.Context(), d.token); e != nil {
		return e
	}
	shown := Presentation{Token: c.token, certificate: d.certificate, header: &d.header}
	if err = g.confirmers.confirm(r, d.token, g.schemes.name(d.under), shown); err != nil {
		return d.errorOf(err, ErrBindingUnconfirmed)
	}
	if g.confirmers.announced && len(d.token.bindings) == 0 {
		g.unbound.write(r, d.token.who(), g.schemes.name(d.under))
	}
	return nil
}

// Metadata returns the handler of the protected resource metadata (RFC 9728, section 3), to be mounted at
// MetadataPath outside of every Guard. It answers GET and HEAD alike for everybody, and caches may keep the answer for
// ten minutes. Where scripts of other origins read it, wrap it with the CORS handler that the API has anyway. It
// panics if Options.Resource has no ID.
//
// The document has the scopes and types of all policies that Authorize was given before the first request, to this
// handler or to a route of this Guard: later ones are not recorded, so that no request can add to it.
func (g *Guard) Metadata() http.Handler { return g.published("Metadata").handler() }

// MetadataPath is where Metadata belongs: the path of the address that the challenges name, made of the ID by putting
// /.well-known/oauth-protected-resource between host and path (RFC 9728, section 3.1). It panics if Options.Resource
// has no ID.
func (g *Guard) MetadataPath() string { return g.published("MetadataPath").path }

func (g *Guard) published(method string) *document {
	if g == nil || g.document == nil {
		panic("popauth: " + method + ": Options.Resource has no ID")
	}
	return g.document
}

// What holds a secret prints itself without it, whatever verb or package asks: configurations end up in logs. Go asks no method
// of what stands in an unexported field of a struct, at whatever depth. There fmt and slog print the exported fields of an
// option, the secret among them, and nothing here can withhold it; with %s and %q they do so through a pointer too. What is made
// of options, a Guard or a Trust, holds its secrets within functions, of which nobody prints more than an address. So does a
// program that has to keep one.

// Format implements fmt.Formatter. In an unexported field fmt would print the secrets of what it holds.
func (g *Guard) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "popauth.Guard") }
