package popauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// decidedContext is the context of a request that a station has decided about. It ends with the token, where the Guard says so: the
// timer is made when somebody first asks for it, so that a request which is over soon costs none.
type decidedContext struct {
	context.Context

	// Named as those of context.WithValue: adapters to other servers copy what a context holds by these names.
	key decisionKey
	val *decision

	own atomic.Pointer[tokenContext] // nil until it is asked for
}

// tokenContext is a context that ends with a token.
type tokenContext struct {
	context.Context

	cancel context.CancelFunc
}

// expiry is when the tokens of a Guard end.
type expiry struct {
	now    func() time.Time
	leeway time.Duration
}

// left is how long a token is yet in force; false if it doesn't end.
func (e *expiry) left(t *Token) (time.Duration, bool) {
	if e == nil || t == nil || t.expiresAt.IsZero() {
		return 0, false
	}
	return t.expiresAt.Add(e.leeway).Sub(e.now()), true
}

// ending returns the context that ends with the token; that of the request if there is no end, or an earlier one.
func (c *decidedContext) ending() context.Context {
	if own := c.own.Load(); own != nil {
		return own
	}
	left, ends := c.val.by.expiry.left(c.val.token)
	if !ends {
		return c.Context
	}
	// Most servers cancel the parent when the handler returns, and with it goes the timer; else release does.
	ctx, cancel := context.WithDeadlineCause(c.Context, time.Now().Add(left), &Error{Reason: ErrTokenExpired})
	own := &tokenContext{ctx, cancel}
	if !c.own.CompareAndSwap(nil, own) {
		cancel()
		return c.own.Load()
	}
	return own
}

// release ends what waits for the token's end, when the handler has returned, where the request's server may not do so: below
// net/http/fcgi a request's context never ends, and its timer would hold all of the request until the token's end. Where the server
// ends contexts, that is its matter: frameworks go on with the context for a while, after the stage has returned. It doesn't end one
// that a handler further out has made by context.WithoutCancel.
func (c *decidedContext) release() {
	if own := c.own.Load(); own != nil && (c.Context.Done() == nil || c.Context.Value(http.LocalAddrContextKey) == nil) {
		own.cancel()
	}
}

// endedWithToken tells whether a request's context has ended since its token has.
func endedWithToken(ctx context.Context) bool {
	if ctx.Err() != context.DeadlineExceeded {
		return false
	}
	e, ok := context.Cause(ctx).(*Error) //nolint:errorlint // itself
	return ok && e != nil && e.Reason == ErrTokenExpired
}

// Deadline implements context.Context.
func (c *decidedContext) Deadline() (time.Time, bool) { return c.ending().Deadline() }

// Done implements context.Context.
func (c *decidedContext) Done() <-chan struct{} { return c.ending().Done() }

// Err implements context.Context.
func (c *decidedContext) Err() error {
	if own := c.own.Load(); own != nil { // ended by the one, it isn't ended once more by the other
		return own.Err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if left, ends := c.val.by.expiry.left(c.val.token); !ends || left > 0 {
		return nil
	}
	return c.ending().Err()
}

// Value implements context.Context. context.Cause finds by it why this one has ended.
func (c *decidedContext) Value(key any) any {
	if key == any(c.key) {
		return c.val
	}
	if own := c.own.Load(); own != nil {
		return own.Value(key)
	}
	return c.Context.Value(key)
}

// String is for those who print contexts: a decision has the token in it. Of the context outside it says what those of package
// context say, its own name or its type: what else is in it is its program's, which may be changing it.
func (c *decidedContext) String() string {
	if named, ok := c.Context.(fmt.Stringer); ok {
		return named.String() + ".popauth"
	}
	return fmt.Sprintf("%T.popauth", c.Context)
}

// Format implements fmt.Formatter: no verb prints more.
func (c *decidedContext) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
