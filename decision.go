package popauth

import (
	"cmp"
	"crypto/x509"
	"errors"
	"hash/maphash"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/reply"
	"github.com/seed-171ab058/popauth/internal/requestline"
)

// station is a handler of this package that requests pass, or NewContext.
type station struct {
	guard   *identity         // nil if it is no Guard's
	source  CertificateSource // of its own; nil if it goes by what is found further out
	standIn *Principal        // of NewContext, for tests
	expiry  *expiry           // when the contexts of requests end; nil if their tokens don't end them
	sent    *http.Request     // as it came, of a handler that has found no certificate in it; nil of others
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
func (d *decision) errorOf(err error, otherwise Reason) *Error {
	e := errorOf(err, otherwise)
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

// Recheck holds the decision that let a request pass against the present, for a handler that goes on for long: an event
// stream, a WebSocket, an upload in parts. A stage decides once, when the request comes; a token that expires or is
// revoked afterwards ends nothing by itself.
//
//	case <-ticker.C:
//		if _, err := guard.Recheck(r, popauth.Scope("orders.read")); err != nil {
//			return // end the stream; an outage is errors.Is(err, popauth.ErrUnavailable)
//		}
//
// It calls the Verifier for the same token again: with JWTs that is the token's times and a key that RemoteKeys still
// knows, with package introspection the issuer, as often as its Options.Remember says. Then come the Token's ExpiresAt,
// Options.Revoked, the validations that the certificate has passed, and the policies given, which are not those of the
// stages. Possession has been proven for this request and is not checked again: no proof is used up, and the
// connection is the same. An answer about another issuer, subject, client or cnf is refused.
//
// Give it the request as the stage has handed it on; what a proxy's headers have said is no longer in it. Its context must
// not have ended: after Hijack, r.WithContext(context.WithoutCancel(r.Context())).
//
// The error is an *Error, and has been logged and observed; the Principal is nil then. ErrUndecided means that no stage
// of this Guard has let the request pass.
func (g *Guard) Recheck(r *http.Request, policies ...Policy) (*Principal, error) {
	if g == nil || g.tokens.verifier == nil {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	observed := g.observer.begin(r.Context(), StageRecheck)
	if e := g.line.read(r); e != nil {
		observed(&decision{}, e)
		g.refusals.log.write(r, e)
		return nil, e
	}
	outer := passed(r)
	d := g.decided(r, r, present(r, g.line, outer, g.identity), outer)
	if d == nil {
		err := &Error{Reason: ErrUndecided}
		observed(&decision{}, err)
		g.refusals.log.write(r, err)
		return nil, err
	}
	now, err := g.recheck(r, d)
	err = endOf(r.Context(), err)
	if err == nil {
		err = g.policies.ask(r, now, policies)
	}
	observed(now, err)
	if err != nil {
		g.refusals.log.write(r, err)
		return nil, err
	}
	return now.principal(), nil
}

var errAnotherToken = errors.New("the Verifier now says another issuer, subject, client or cnf of this token")

// recheck returns the decision as it would be now.
func (g *Guard) recheck(r *http.Request, d *decision) (*decision, *Error) {
	now := &decision{finding: d.finding}
	_, token, _ := strings.Cut(credentialText(r), " ") // the same that the decision was made on: see decided
	t, err := g.tokens.verify(r.Context(), strings.TrimLeft(token, " "))
	now.remembered = err == nil && t.remembered()
	if err != nil {
		return now, errorOf(err, ErrTokenInvalid)
	}
	if e := g.tokens.unrevoked(r.Context(), t); e != nil {
		return now, e
	}
	if !t.sameHolder(d.token) {
		return now, &Error{Reason: ErrTokenInvalid, Err: errAnotherToken, who: d.token.who()}
	}
	now.token = t
	// A foreign Verifier may not check the time.
	if e := g.tokens.over(now.token); e != nil {
		return now, e
	}
	if now.certificate, err = recheckAll(r, g.source, d.certificate, d.presented.extraction, g.tokens.now()); err != nil {
		return now, d.errorOf(err, ErrCertificateMalformed)
	}
	return now, nil
}

// sameHolder tells whether both name the same caller and the same keys, in whatever order.
func (t *Token) sameHolder(u *Token) bool {
	return t.issuer == u.issuer && t.subject == u.subject && t.clientID == u.clientID &&
		slices.Equal(sortedBindings(t.bindings), sortedBindings(u.bindings))
}

func sortedBindings(list []Binding) []Binding {
	return slices.SortedFunc(slices.Values(list), func(a, b Binding) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Value, b.Value))
	})
}

// CertificateNow returns the certificate that a ClientCertificate or clientcert.Require handler has found, or a Guard with
// Options.Certificate, as it would find it now, for doors of your own; clientcert.Recheck asks whether it still opens one. It holds
// what was found against the clock, and asks each ValidatingSource once more, also those of the handlers further out. A
// certificate that the TLS stack or a proxy had verified, and that has expired meanwhile, counts as one that nobody has
// verified. No other source of your own is called again.
//
// The certificate is a copy of its own; nil if the handler has found none. The error is an *Error; ErrUndecided means that the
// request has come by no such handler.
func CertificateNow(r *http.Request) (*Certificate, error) {
	x, err := extracted(r)
	switch {
	case err != nil:
		return nil, errorOf(err, ErrAnotherRequest)
	case x == nil:
		return nil, &Error{Reason: ErrUndecided}
	}
	c, err := recheckAll(r, x.by.source, x.certificate, x.outer, time.Now())
	if err != nil {
		return nil, errorOf(err, ErrCertificateMalformed)
	}
	return c.at(time.Now()).clone(), nil
}

// recheckAll returns a certificate as its source would give it now, if all handlers further out would let it pass, too.
func recheckAll(r *http.Request, source CertificateSource, c *Certificate, outer *decision, now time.Time) (*Certificate, error) {
	for x := outer.extraction(nil); x != nil; x = x.outer.extraction(nil) {
		if _, err := recheckCertificate(r, x.by.source, x.certificate, x.outer, now); err != nil {
			return nil, err
		}
	}
	return recheckCertificate(r, source, c, outer, now)
}

// recheckCertificate returns a certificate as its source would give it now. Whatever the source may have asked in its turn
// is outer.
func recheckCertificate(r *http.Request, source CertificateSource, c *Certificate, outer *decision, now time.Time) (*Certificate, error) {
	switch s := source.(type) {
	case callerSource:
		if x := outer.extraction(nil); x != nil {
			return recheckCertificate(r, x.by.source, x.certificate, x.outer, now)
		}
	case ValidatingSource:
		found, err := recheckCertificate(r, s.Unwrap(), c, outer, now)
		if found == nil || err != nil {
			return nil, err
		}
		rechecked, err := s.Recheck(r, found)
		if rechecked == nil || err != nil {
			return nil, err
		}
		return taken(s, rechecked)
	}
	if c = c.on(r).at(now); c == nil || !c.isVerified() || !c.isOver(now) {
		return c, nil
	}
	return c.unverified(lapsed(c.Leaf, false)), nil
}

var lineSeeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()}

// lineSum stands for a request's method, path and proof in 8 bytes: the strings would double what a decision takes. Its seeds
// are this process's secret. URL.Path counts where it doesn't fit the request line, or there is none. Where it fits,
// http.StripPrefix may have left less of it to a later stage, and a DPoP proof is good for one decision only.
func lineSum(r *http.Request, rewritten bool) uint64 {
	sum := maphash.String(lineSeeds[0], requestline.Method(r)) ^ maphash.String(lineSeeds[1], r.RequestURI)
	fits := true
	if rewritten {
		_, fits = sentPath(r)
	}
	if r.URL != nil && (r.RequestURI == "" || !fits) {
		sum ^= maphash.String(lineSeeds[2], r.URL.Path)
	}
	if proof := r.Header["Dpop"]; len(proof) > 0 {
		sum ^= maphash.String(lineSeeds[3], strings.Join(proof, "\n"))
	}
	return sum
}
