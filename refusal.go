package popauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/reply"
)

// Refusal is what a refused request is answered with, as a value: for a door that has no http.ResponseWriter, such as a
// gRPC service that a proxy asks. Nothing in it comes from the request, and nothing from the cause: all of it may be sent.
type Refusal struct {
	Reason Reason // for metrics; what is none of the constants is ErrTokenInvalid, as which it is answered
	Status int

	err *Error // nil in one that was made by hand
}

func (f Refusal) cause() *Error {
	if f.err == nil {
		return &Error{Reason: f.Reason}
	}
	return f.err
}

// Header returns the header lines of the answer: WWW-Authenticate with all challenges, a line each; Cache-Control:
// no-store; what the Confirmers put on it, such as DPoP-Nonce; and, where they belong, Retry-After and Connection: close.
// Each call returns a header of its own.
func (f Refusal) Header() http.Header {
	h := f.cause().Header()
	if h == nil {
		h = http.Header{}
	}
	f.addTo(h)
	return h
}

// addTo says on h that the answer is a refusal, and which.
func (f Refusal) addTo(h http.Header) {
	e := f.cause()
	reply.Refuse(h)
	if len(e.challenges) > 0 {
		h["Www-Authenticate"] = append(h["Www-Authenticate"], e.challenges...)
	}
	if e.closes {
		h.Set("Connection", "close") // HTTP/2: GOAWAY
	}
	if wait := e.RetryAfter(); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
}

// refusals is how one Guard answers what it refuses. The zero refusals is for handlers that belong to no Guard.
type refusals struct {
	log     refusalLog
	observe func(context.Context, Observation)               // of what belongs to no Guard; nil: nobody is told
	deny    func(http.ResponseWriter, *http.Request, *Error) // nil: a status and no body
}

// answer returns the answer to a request, and logs that it is refused.
func (f *refusals) answer(r *http.Request, e *Error) Refusal {
	f.log.write(r, e)
	if f.observe != nil {
		f.observe(r.Context(), Observation{Stage: StageDoor, Reason: e.Reason.answered(), Status: e.Status()})
	}
	return Refusal{Reason: e.Reason.answered(), Status: e.Status(), err: e}
}

// write writes the answer. The headers are set before Options.Deny runs, so that it can't forget them.
func (f *refusals) write(w http.ResponseWriter, r *http.Request, e *Error) {
	answer := f.answer(r, e)
	maps.Copy(w.Header(), e.header)
	answer.addTo(w.Header())
	if f.deny == nil {
		w.WriteHeader(answer.Status)
		return
	}
	refusal := reply.NewRefusal(w, answer.Status)
	defer refusal.Close()
	f.deny(refusal, reply.Whole(r), e)
	refusal.Finish()
}

// Refuse answers a request that a handler of your own refuses: one that belongs to no Guard and asks for no token, such as a door
// for certificates alone. The answer is that of Refused(r, err), with Retry-After, and Connection: close where it belongs; a
// RequestLine.Handler further out logs it, and without one slog.Default, at most 60 lines a minute for one Reason. Guard.Refuse is for
// a handler inside of a Guard's.
func Refuse(w http.ResponseWriter, r *http.Request, err error) { refuse(w, r, Refused(r, err)) }

// Refused returns what Refuse makes of an error. One that names no Reason is ErrForbidden, and so is one whose Reason asks for a
// token, since nobody would take it here. Where the request has ended meanwhile, an outage is ErrRequestEnded.
func Refused(r *http.Request, err error) *Error {
	return certificateRefused(r, errorOf(err, ErrForbidden))
}

// problem is a refusal in the form of RFC 9457. Title and status are those of HTTP, which is what about:blank says
// (section 4.2.1).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Problem returns the answer as a document of application/problem+json (RFC 9457). Detail is the text, and the extension
// member error the code, of the challenge; both are left out where there is none. An answer to HEAD has no body.
func (f Refusal) Problem() []byte {
	a := f.cause().answer()
	// The fields can all be written.
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(a.status), a.status, a.description, a.code})
	return body
}

// ProblemDetails is an Options.Deny that answers with application/problem+json: see Refusal.Problem. Nothing in it comes
// from the request, and nothing of e.Err.
func ProblemDetails(w http.ResponseWriter, r *http.Request, e *Error) {
	body := Refusal{err: e}.Problem()
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// hasEnded tells whether a request has ended before the decision on it, by its client or with its server. A time limit is
// another matter: whoever runs the API has set it, and what wasn't there in time is an outage. Only a limit whose cause is
// ErrRequestEnded is the client's own.
func hasEnded(ctx context.Context) bool {
	switch ctx.Err() {
	case nil:
		return false
	case context.Canceled:
		return true
	}
	return errors.Is(context.Cause(ctx), ErrRequestEnded)
}

// endOf returns a refusal as ErrRequestEnded where it is an outage for no other reason than that the request has ended.
// Whether there was an outage as well, the next request tells.
func endOf(ctx context.Context, e *Error) *Error {
	if e != nil && e.Reason == ErrUnavailable && endedWithToken(ctx) {
		return &Error{Reason: ErrTokenExpired, who: e.who}
	}
	if e == nil || !hasEnded(ctx) || e.Reason != ErrUnavailable && !errors.Is(e.Err, context.Canceled) {
		return e
	}
	own := *e
	own.Reason, own.Err = ErrRequestEnded, endedError{e.Err, context.Cause(ctx)}
	return &own
}

// Unavailable is the refusal of a request that has waited for something that can't be reached, such as the database of a
// Verifier, a Confirmer or a Policy of your own: ErrUnavailable, which is answered with 503, whatever Reason err wraps. Where
// ctx, which is the request's, says that the request has ended, it is ErrRequestEnded: nobody reads the answer, and it is no
// outage. A refusal with ErrUnavailable or ErrOverloaded stays what it is otherwise. err is why, for the log.
func Unavailable(ctx context.Context, err error) *Error {
	if gone, ok := errors.AsType[*calls.Abandoned](err); ok {
		err = gone.Cause
		if errors.Is(err, calls.ErrBusy) && !hasEnded(ctx) {
			return &Error{Reason: ErrOverloaded, Err: err} // the calls before it were answered
		}
	}
	if e, ok := err.(*Error); ok && e != nil && (e.Reason == ErrUnavailable || e.Reason == ErrOverloaded) { //nolint:errorlint // itself
		own := *e
		return endOf(ctx, &own)
	}
	return endOf(ctx, &Error{Reason: ErrUnavailable, Err: err})
}

// endedError says what a request was waiting for when it ended. It doesn't wrap that: whoever asks with errors.Is for an
// outage must not find one.
type endedError struct{ waited, cause error }

func (e endedError) Error() string {
	if e.waited == nil {
		return e.cause.Error()
	}
	return e.waited.Error()
}

func (e endedError) Unwrap() error { return e.cause }
