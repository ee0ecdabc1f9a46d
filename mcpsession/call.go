package mcpsession

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// call is one HTTP request. The SDK hands it on with each message that the request carries, in TokenInfo.Extra.
type call struct {
	request  *http.Request // as the Guard let it pass
	endpoint *endpoint
	expires  time.Time
	info     *auth.TokenInfo

	ctx    context.Context // the inner request's
	cancel context.CancelCauseFunc
	once   sync.Once
}

type callKey struct{}

const extraKey = "github.com/seed-171ab058/popauth/mcpsession"

// begin returns the context of the inner request. It is canceled with the request's, but has none of its values: the SDK
// keeps it for the whole session, in which they would be taken for those of every later request.
func (c *call) begin() (ctx context.Context, end func()) {
	outer := c.request.Context()
	base := context.WithValue(context.Background(), callKey{}, c)
	if address := outer.Value(http.LocalAddrContextKey); address != nil { // for the SDK's protection against DNS rebinding
		base = context.WithValue(base, http.LocalAddrContextKey, address)
	}
	c.ctx, c.cancel = context.WithCancelCause(base)
	stop := context.AfterFunc(outer, func() { c.cancel(context.Cause(outer)) })
	return c.ctx, func() {
		stop()
		c.cancel(context.Canceled)
	}
}

// watch ends the request as soon as the Guard's decision no longer holds. It is for requests without an end of their
// own: a call that was let in is answered.
func (c *call) watch() {
	c.once.Do(func() {
		go func() {
			tick := time.NewTicker(c.endpoint.interval)
			defer tick.Stop()
			for {
				select {
				case <-c.ctx.Done():
					return
				case <-tick.C:
				}
				if _, err := c.endpoint.guard.Recheck(c.request, c.endpoint.policies...); err != nil {
					c.cancel(err)
					return
				}
			}
		}()
	})
}

// receive is middleware of the server. It gives handlers the values of the request that carries their message.
func receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
		if c := callOf(r); c != nil {
			if method == "subscriptions/listen" { // a POST whose answer is an event stream
				c.watch()
			}
			ctx = &values{ctx, context.WithoutCancel(c.request.Context()), c.info}
		}
		return next(ctx, method, r)
	}
}

// callOf returns nil where a message came another way, as over standard input.
func callOf(r mcp.Request) *call {
	extra := r.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil
	}
	c, _ := extra.TokenInfo.Extra[extraKey].(*call)
	return c
}

// values is the SDK's context of a message, with the values of the request that carries it.
type values struct {
	context.Context
	request context.Context
	info    *auth.TokenInfo
}

// Value answers for the SDK first, which keeps the session's TokenInfo in its context: that one is replaced too.
func (v *values) Value(key any) any {
	switch value := v.Context.Value(key).(type) {
	case nil:
		return v.request.Value(key)
	case *auth.TokenInfo:
		return v.info
	default:
		return value
	}
}
