package popauth

import (
	"context"
	"errors"
	"time"
)

// examiner decides about the access tokens of one Guard, whoever holds them: by its Verifier, the time, and Options.Revoked.
type examiner struct {
	verifier Verifier // nil in a Guard that New has not made
	revoked  func(context.Context, *Token) (bool, error)
	now      func() time.Time
	leeway   time.Duration
}

// verify returns what the token says, which may be shared with other requests.
func (x *examiner) verify(ctx context.Context, token string) (*Token, error) {
	t, err := x.verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if t == nil || t.payload == "" {
		return nil, &Error{Reason: ErrTokenInvalid, Err: errors.New("the Verifier returned a Token that NewToken has not made")}
	}
	return t, nil
}

// verifyAgain looks at a token that was verified a moment ago once more: its key may be gone, and the token over.
func (x *examiner) verifyAgain(ctx context.Context, token string, t *Token) (*Token, *Error) {
	if !fresh(x.verifier, token, t) {
		again, err := x.verify(ctx, token)
		if err != nil {
			return t, refused(err, ErrTokenInvalid)
		}
		t = again
	}
	return t, x.over(t)
}

// over refuses a token that has expired since the Verifier has looked at it, or that it hasn't looked at for that.
func (x *examiner) over(t *Token) *Error {
	if end := t.ExpiresAt(); !end.IsZero() && !x.now().Before(end.Add(x.leeway)) {
		return &Error{Reason: ErrTokenExpired, who: t.who()}
	}
	return nil
}

// unrevoked refuses a token that is revoked.
func (x *examiner) unrevoked(ctx context.Context, t *Token) *Error {
	if x.revoked == nil {
		return nil
	}
	revoked, err := x.revoked(ctx, t)
	switch {
	case err != nil:
		return &Error{Reason: ErrUnavailable, Err: err, who: t.who()}
	case revoked:
		return &Error{Reason: ErrTokenRevoked, who: t.who()}
	}
	return nil
}
