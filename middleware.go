package popauth

import (
	"context"
	"errors"
	"github.com/seed-171ab058/popauth/internal/keys"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Guard decides which requests reach a handler. Its stages authenticate, confirm and authorize, in that order, and each
// runs those before it that have not run: any one of them alone is safe. The zero Guard denies everything; New makes
// one that does not. Its rules never change, and it is safe for concurrent use. The only thing it records is the
// policies given to Authorize before the first request; Metadata publishes them.
//
// A Guard must not be copied: a stage of the copy knows nothing of what a stage of the other has decided.
type Guard struct {
	_          noCopy
	options    Options
	source     CertificateSource
	headers    managedHeaders // of source
	station    *station
	confirmers map[string]confirmation
	schemes    []challenge
	prepared   map[occasion][]string
	metadata   *metadata // nil: none
	several    bool      // issuers can be behind the Verifier
	prompt     bool      // source is ours: it runs no code of the program, and waits for nothing
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
	anyHost := anyHost(o)
	o, err := o.complete()
	m, problems := newMetadata(o)
	if err := errors.Join(err, problems); err != nil {
		return nil, err
	}
	var named []Param
	if m != nil {
		named = []Param{{"resource_metadata", m.url}} // RFC 9728, section 5.1
	}
	for _, iss := range openIssuers(o.Verifier) {
		o.Logger.Warn("token types left open: tokens of other kinds are told by their claims alone", "issuer", iss,
			"advice", "set TokenTypes to at+jwt if the issuer writes it, else RequiredClaims to what its ID tokens don't have: docs/tokens.md has a row for most")
	}
	if anyHost {
		o.Logger.Warn("DPoP proofs for any host: the Host header says which", "advice", "set Resource.ID, or DPoP.URL to BaseURL with this API's own name")
	}
	g := &Guard{options: o, source: o.Certificate, confirmers: map[string]confirmation{}, schemes: []challenge{{bearer, named}}, metadata: m, several: !isOfOneIssuer(o.Verifier)}
	if g.source == nil {
		g.source = CallerCertificate()
	}
	g.headers, _ = headersOf(g.source) // complete has looked at the error
	_, g.prompt = g.source.(sharing)
	g.station = &station{guard: g, source: o.Certificate}
	for _, c := range o.Confirmers {
		own := confirmation{Confirmer: c}
		switch c.(type) {
		case MutualTLS:
			own.ours, own.always = true, true
		case DPoP:
			own.ours = true
		}
		if s, ok := c.(SchemeConfirmer); ok {
			scheme, params := s.Challenge()
			own.scheme = scheme
			g.schemes = append(g.schemes, challenge{scheme, slices.Concat(named, params)})
		}
		g.confirmers[c.Member()] = own
	}
	g.prepare()
	return g, nil
}

// Authenticate lets a request pass whose token is genuine and meant for this API, and, where the token is bound, in
// the right hands: possession was proven for every member of its cnf. It panics if next is nil.
func (g *Guard) Authenticate(next http.Handler) http.Handler { return g.stage(StageAuthenticate, next) }

// Confirm lets a request pass that Authenticate would, and whose token is bound. It panics if next is nil.
func (g *Guard) Confirm(next http.Handler) http.Handler { return g.stage(StageConfirm, next, Bound()) }

// Authorize lets a request pass that Authenticate would, and that every policy allows. It panics without a policy or
// with the zero Policy, and with one on names of an issuer if the Guard can have several: see Issuer.
func (g *Guard) Authorize(policies ...Policy) func(http.Handler) http.Handler {
	if len(policies) == 0 {
		panic("popauth: Authorize: no policy")
	}
	policies = slices.Clone(policies)
	for _, p := range policies {
		if p.allow == nil {
			panic("popauth: Authorize: zero Policy")
		}
	}
	if g != nil {
		if g.several && unsaid(policies) {
			panic("popauth: Authorize: " + errIssuerUnsaid.Error())
		}
		g.metadata.record(policies)
	}
	return func(next http.Handler) http.Handler { return g.stage(StageAuthorize, next, policies...) }
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
	// context, for FromContext and the stages inside. Give handlers, logs and other servers this one.
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
	r = own(r)
	clean := g.clean(r)
	d, err := g.decide(r, clean)
	if err == nil {
		err = g.allow(clean, d, StageAuthorize, policies)
	}
	if err != nil {
		return nil, err
	}
	return &Decision{d.principal(), d.pass(clean), d.header.Clone()}, nil
}

// clean returns the request as everybody but the source is to see it.
func (g *Guard) clean(r *http.Request) *http.Request {
	if g == nil {
		return r
	}
	return g.headers.strip(r)
}

// Refuse answers a request that somebody else refuses, with an error of Check or one of its own, as the Guard answers
// those that it refuses itself: status, challenges, Options.Deny and a line in the log. An error that names no Reason
// is answered like ErrForbidden. Pass on the error of Check as it is: a bare Reason such as ErrNonceRequired has
// neither its scheme nor its nonce.
func (g *Guard) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := endOf(r.Context(), refused(err, ErrForbidden))
	if e.challenges == nil && g != nil {
		e.challenges = g.challenges(e)
	}
	g.observeOutside(r, e)
	g.deny(w, g.clean(r), e)
}

func (g *Guard) authenticate(sent, r *http.Request, d *decision) *Error {
	c, e := g.readCredentials(r)
	if e != nil {
		return e
	}
	d.under = c.under
	var err error
	// The token before the certificate: chains are verified, and responders asked, for those alone who have one.
	if d.token, d.remembered, err = g.verify(r.Context(), &c); err != nil {
		return refused(err, ErrTokenInvalid)
	}
	if d.certificate, err = g.headers.obtain(g.source, sent); err != nil {
		e := refused(err, ErrCertificateMalformed)
		e.token = d.token
		return e
	}
	if !g.prompt { // it may have waited: a key may be gone, and the token over
		if err = verifyAgain(r.Context(), g.options.Verifier, &c); err != nil {
			return refused(err, ErrTokenInvalid)
		}
		if e := g.over(d.token); e != nil {
			return e
		}
	}
	if err = g.revoked(r.Context(), d.token); err != nil {
		return refused(err, ErrTokenRevoked)
	}
	if err = g.confirm(r, d, &c); err != nil {
		e := refused(err, ErrBindingUnconfirmed)
		e.token = d.token
		return e
	}
	if g.options.Resource.DPoPRequired && !d.token.boundBy(DPoP{}.Member()) {
		return &Error{Reason: ErrBindingMissing, token: d.token}
	}
	return nil
}

func (g *Guard) verify(ctx context.Context, c *credentials) (t *Token, remembered bool, err error) {
	if c.known.entry != nil {
		t, remembered, err = c.known.by.still(c.known.entry)
	} else {
		t, remembered, err = verifyShared(ctx, g.options.Verifier, c.token, &c.hash)
	}
	if err != nil {
		return nil, false, err
	}
	if t == nil || t.payload == "" {
		return nil, false, &Error{Reason: ErrTokenInvalid, Err: errors.New("the Verifier returned a Token that NewToken has not made")}
	}
	return t, remembered, nil
}

// over refuses a token that has expired since the Verifier has looked at it, or that it hasn't looked at for that.
func (g *Guard) over(t *Token) *Error {
	if end := t.ExpiresAt; !end.IsZero() && !g.options.Now().Before(end.Add(g.options.Leeway)) {
		return &Error{Reason: ErrTokenExpired, token: t}
	}
	return nil
}

// revoked shows the function a Token of its own, not one that other requests share.
func (g *Guard) revoked(ctx context.Context, t *Token) error {
	if g.options.Revoked == nil {
		return nil
	}
	revoked, err := g.options.Revoked(ctx, t.clone())
	switch {
	case err != nil:
		return &Error{Reason: ErrUnavailable, Err: err, token: t}
	case revoked:
		return &Error{Reason: ErrTokenRevoked, token: t}
	}
	return nil
}

// views are Principals that policies look at, and that nobody keeps.
var views = sync.Pool{New: func() any { return new(Principal) }}

// allow asks the policies, if there are any.
func (g *Guard) allow(r *http.Request, d *decision, stage Stage, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	observed := g.observe(r.Context(), stage)
	err := g.hold(r, d, policies)
	observed(d, err)
	return err
}

func (g *Guard) hold(r *http.Request, d *decision, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	if g.several && unsaid(policies) { // of Check and Recheck: Authorize panics
		return &Error{Reason: ErrIssuerUnsaid, Err: errIssuerUnsaid, token: d.token, header: d.header}
	}
	return g.ask(r, d, policies)
}

// ask shows the policies one view of the token, which none of them changes. Where the token alone decides, none is made.
func (g *Guard) ask(r *http.Request, d *decision, policies []Policy) *Error {
	var view *Principal
	defer func() {
		if view != nil {
			*view = Principal{} // a pool would keep its token and certificate alive
			views.Put(view)
		}
	}()
	for _, policy := range policies {
		var err error
		if policy.token != nil {
			err = policy.token(d.token)
		} else {
			if view == nil {
				view = g.view(d)
			}
			err = policy.check(r, view)
		}
		if err != nil {
			e := endOf(r.Context(), refused(err, ErrForbidden))
			e.token, e.used, e.header = d.token, d.scheme(), d.header
			e.asked = asked(e.Reason, pursued(policies, e.branch))
			e.challenges = g.challenges(e)
			return e
		}
	}
	return nil
}

// view returns a Principal out of views.
func (g *Guard) view(d *decision) *Principal {
	view, _ := views.Get().(*Principal)
	*view = d.token.view(d.certificate)
	view.clock = clock{g.options.Now, g.options.Leeway}
	return view
}

// log writes one line. What a sender chose is cut and stripped of control characters first: not every slog.Handler
// escapes.
func (g *Guard) log(r *http.Request, e *Error) {
	if g != nil {
		logRefusal(g.options.Logger, r, e)
	}
}

func logRefusal(logger *slog.Logger, r *http.Request, e *Error) {
	if logger == nil {
		return
	}
	level := slog.LevelInfo
	if e.Status() >= http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	if keys.IsEmptySet(e.Err) {
		level = slog.LevelError // nobody's token counts until the issuer publishes a key
	}
	if !logger.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("reason", string(e.Reason)), slog.Int("status", e.Status())}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", printable(e.Err.Error())))
	}
	if e.token != nil {
		attrs = append(attrs, slog.String("issuer", printable(e.token.Issuer)),
			slog.String("client", printable(e.token.ClientID)), slog.String("token_id", printable(e.token.TokenID)))
	}
	logger.LogAttrs(r.Context(), level, "request refused", attrs...)
}

const maxLogged = 256

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), maxLogged)])
}
