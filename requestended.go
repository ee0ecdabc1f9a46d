package popauth

import (
	"context"
	"errors"

	"github.com/seed-171ab058/popauth/internal/calls"
)

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
	if e, ok := err.(*Error); ok && (e.Reason == ErrUnavailable || e.Reason == ErrOverloaded) { //nolint:errorlint // itself
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
