package popauth

import (
	"net/http"
	"strconv"
	"time"

	"github.com/seed-171ab058/popauth/internal/reply"
)

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
