package popauth

import (
	"errors"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// unanswered is the refusal for a call that brought no answer.
func unanswered(err error) error { return &Error{Reason: ErrUnavailable, Err: err} }

// answered returns what a shared call came to. An error wraps ErrUnavailable, unless the call itself has given it a
// Reason of its own.
func answered[V any](v V, err error) (V, error) {
	if err == nil {
		return v, nil
	}
	var none V
	if gone, ok := errors.AsType[*calls.Abandoned](err); ok {
		return none, unanswered(gone.Cause)
	}
	return none, refused(err, ErrUnavailable)
}
