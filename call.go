package popauth

import (
	"context"
	"errors"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// unanswered is the refusal for a call that brought no answer.
func unanswered(err error) error { return &Error{Reason: ErrUnavailable, Err: err} }

// overloaded is the refusal of a request whose turn didn't come. It is no outage to watch for, since strangers can bring it
// about; whoever asks with errors.Is for ErrUnavailable, to say "ask again later", finds it all the same.
func overloaded(err error) error { return &Error{Reason: ErrOverloaded, Err: crowd{err}} }

type crowd struct{ error }

func (c crowd) Unwrap() error      { return c.error }
func (crowd) Is(target error) bool { return target == ErrUnavailable }

// answered returns what a shared call came to, for a request with this context. An error wraps ErrUnavailable, unless the
// call itself has given it a Reason of its own, or the request had to wait behind other calls that were answered, or has
// ended. Whose turn doesn't come within a time limit of the API's own is refused for the same reason.
func answered[V any](ctx context.Context, v V, err error) (V, error) {
	if err == nil {
		return v, nil
	}
	var none V
	gone, ok := errors.AsType[*calls.Abandoned](err)
	switch {
	case ok && errors.Is(gone.Cause, calls.ErrBusy) && !hasEnded(ctx):
		return none, overloaded(gone.Cause)
	case ok:
		return none, unreached(ctx, gone.Cause)
	}
	return none, unreached(ctx, err)
}
