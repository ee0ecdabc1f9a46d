package popauth

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/seed-171ab058/popauth/internal/reply"
)

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
	g = g.orNone()
	if g.policies.several && unsaid(policies) {
		panic("popauth: Authorize: " + errIssuerUnsaid.Error())
	}
	g.document.record(policies)
	return func(next http.Handler) http.Handler { return g.stage(StageAuthorize, next, policies...) }
}

// stageHandler is one stage of a Guard around a handler.
type stageHandler struct {
	guard    *Guard
	stage    Stage
	policies []Policy
	next     http.Handler
	inner    *stageHandler // next, if this stage's decision is that one's too; nil if it decides itself
}

func (g *Guard) stage(stage Stage, next http.Handler, policies ...Policy) http.Handler {
	if next == nil {
		panic("popauth: nil handler")
	}
	h := &stageHandler{guard: g.orNone(), stage: stage, policies: policies, next: next}
	if inner, ok := next.(*stageHandler); ok && inner.guard == g && stage != StageAuthorize && h.guard.leavesAlone() {
		h.inner = inner
	}
	return h
}

// leavesAlone tells whether nobody changes a request while it is authenticated: no source of the program, and a Confirmer must
// not. Where a stage is right behind such a one, there is nothing to read again. Authorize has policies, which may be functions
// of the program.
func (g *Guard) leavesAlone() bool { return g.prompt }

// ServeHTTP implements http.Handler.
func (h *stageHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g := h.guard
	r = own(r)
	clean := g.headers.Strip(r)
	d, err := g.decide(r, clean)
	if err == nil {
		err = g.policies.allow(clean, d, h.stage, h.policies)
	}
	if err != nil {
		if d != nil && d.certificate == nil { // of its own refusals decide has asked
			explainAbsence(err, g.source, r)
		}
		g.refusals.write(w, clean, err)
		return
	}
	maps.Copy(w.Header(), d.header)
	d.lines.Private(w.Header())
	if r = d.pass(clean); r != clean {
		if own, ok := r.Context().(*decidedContext); ok {
			defer own.release()
		}
	}
	for h.inner != nil {
		h = h.inner
		if err := g.policies.allow(r, d, h.stage, h.policies); err != nil {
			g.refusals.write(w, r, err)
			return
		}
	}
	h.next.ServeHTTP(w, r)
}

var (
	errEarlyMark      = errors.New("marked Early-Data by what ends TLS")
	errEarlyHandshake = errors.New("the handshake of its connection is not complete")
)

// CheckRequest returns nil for a request that may be decided about, as every Guard checks before it reads who sends it: its line
// has one reading, by the zero RequestLine and what a RequestLine.Handler further out allows, and it is not in TLS early data. It
// is for doors of your own. The error is an *Error with ErrRequestLine or ErrEarlyData.
func CheckRequest(r *http.Request) error {
	if e := (RequestLine{}).read(r); e != nil {
		return e
	}
	if e := early(r); e != nil {
		return e
	}
	return nil
}

// early refuses a request in TLS early data (0-RTT): until the handshake is complete nobody has proven to hold any key, and
// whoever has recorded the flight can send it again (RFC 8470, section 3). What ends TLS in front marks such requests
// (section 5.1); a sender that makes the mark up refuses nobody but himself.
func early(r *http.Request) *Error {
	switch {
	case r.TLS != nil && !r.TLS.HandshakeComplete:
		return &Error{Reason: ErrEarlyData, Err: errEarlyHandshake}
	case len(r.Header["Early-Data"]) > 0:
		return &Error{Reason: ErrEarlyData, Err: errEarlyMark}
	}
	return nil
}

// Private says to caches that the answer with the header h is its caller's alone. Stages, ClientCertificate and
// clientcert.Require do it before the handler runs; it is for a handler that asks Check or clientcert.Check itself, and
// then before it writes.
//
// It sets Cache-Control: private, unless handlers further out have said no-store or private already, adds Authorization
// and DPoP to Vary, and removes what lets caches of one kind keep the answer nevertheless, such as Expires and
// CDN-Cache-Control. For a certificate no Vary could do that (RFC 9440, section 2.4). A handler can replace these headers. One
// that sets Cache-Control for browsers has to name private in it: max-age alone makes nginx give the answer to everybody.
func Private(h http.Header) { new(reply.Lines).Private(h) }

// PublicAnswers returns middleware that says to all caches, shared ones too, that they may keep an answer for maxAge and
// give it to anybody. It stands inside of a stage or of clientcert.Require, or where Private has been called; outside, it has
// no effect.
//
//	mux.Handle("GET /schemas/", guard.Authenticate(popauth.PublicAnswers(time.Hour)(schemas)))
//
// Danger: whoever asks such a cache gets the answer, without a token and without a certificate. It is for what is the same
// for everybody and no secret. Errors, redirects, and answers with Set-Cookie or a DPoP nonce stay with their caller: only 2xx
// and 304 are public. That is decided when the answer is written. A cookie that a writer further out adds later, or that is
// in a header map of its own, as with http.TimeoutHandler, isn't seen: with such a writer between the stage and
// PublicAnswers it has no effect. See docs/caches.md. It panics if maxAge is negative, or next is nil.
func PublicAnswers(maxAge time.Duration) func(next http.Handler) http.Handler {
	if maxAge < 0 {
		panic("popauth: PublicAnswers: negative maxAge")
	}
	cacheControl := "public, max-age=" + strconv.FormatInt(int64(maxAge/time.Second), 10)
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("popauth: PublicAnswers: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reply.ServePublic(w, r, next, cacheControl)
		})
	}
}
