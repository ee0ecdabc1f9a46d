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
func (x *examiner) verify(ctx context.Context, c *credentials) (t *Token, remembered bool, err error) {
	if c.known.entry != nil {
		t, remembered, err = c.known.by.still(c.known.entry)
	} else {
		t, remembered, err = verifyShared(ctx, x.verifier, c.token, &c.hash)
	}
	if err != nil {
		return nil, false, err
	}
	if t == nil || t.payload == "" {
		return nil, false, &Error{Reason: ErrTokenInvalid, Err: errors.New("the Verifier returned a Token that NewToken has not made")}
	}
	return t, remembered, nil
}

// verifyAgain looks at a token that was verified a moment ago once more: its key may be gone, and the token over.
func (x *examiner) verifyAgain(ctx context.Context, c *credentials, t *Token) *Error {
	if err := verifyAgain(ctx, x.verifier, c); err != nil {
		return refused(err, ErrTokenInvalid)
	}
	return x.over(t)
}

// over refuses a token that has expired since the Verifier has looked at it, or that it hasn't looked at for that.
func (x *examiner) over(t *Token) *Error {
	if end := t.ExpiresAt; !end.IsZero() && !x.now().Before(end.Add(x.leeway)) {
		return &Error{Reason: ErrTokenExpired, who: t.who()}
	}
	return nil
}

// unrevoked refuses a token that is revoked. It shows the function a Token of its own, not one that other requests share.
func (x *examiner) unrevoked(ctx context.Context, t *Token) *Error {
	if x.revoked == nil {
		return nil
	}
	revoked, err := x.revoked(ctx, t.clone())
	switch {
	case err != nil:
		return &Error{Reason: ErrUnavailable, Err: err, who: t.who()}
	case revoked:
		return &Error{Reason: ErrTokenRevoked, who: t.who()}
	}
	return nil
}
