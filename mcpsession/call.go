package mcpsession

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
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

// begin returns the context of the inner request. It is canceled with the request's, but has none of its values: the
// SDK keeps it for the whole session, where they would be taken for those of every later request.
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
			// What the Guard asks is the program's own: it would end the process, not one stream.
			defer func() {
				if p := recover(); p != nil {
					log.Printf("mcpsession: panic while a stream was checked: %v\n%s", p, debug.Stack())
					c.cancel(fmt.Errorf("mcpsession: panic: %v", p))
				}
			}()
			tick := time.NewTicker(c.endpoint.interval)
			defer tick.Stop()
			for {
				select {
				case <-c.ctx.Done():
					return
				case <-tick.C:
				}
				if _, err := c.recheck(c.request); err != nil {
					c.cancel(err)
					return
				}
			}
		}()
	})
}

func (c *call) recheck(r *http.Request, more ...popauth.Policy) (*popauth.Principal, error) {
	return c.endpoint.guard.Recheck(r, slices.Concat(c.endpoint.policies, more)...)
}

// receive is middleware of the server. It gives handlers the values of the request that carries their message.
func receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
		if c := callOf(r); c != nil {
			if method == "subscriptions/listen" { // a POST whose answer is an event stream
				c.watch()
			}
			ctx = &values{ctx, c}
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
	call *call
}

type messageKey struct{}

// Value answers with what the SDK has put into its context, but for the TokenInfo, which is that of the session there.
func (v *values) Value(key any) any {
	if key == (messageKey{}) {
		return v.call
	}
	switch value := v.Context.Value(key).(type) {
	case nil:
		return context.WithoutCancel(v.call.request.Context()).Value(key)
	case *auth.TokenInfo:
		return v.call.info
	default:
		return value
	}
}

// Recheck is popauth.Guard.Recheck for a tool that runs for long: it reports whether the decision about the request that
// called the tool still holds, with Options.Policies and those given. The context is the tool's. The error is a
// *popauth.Error, with popauth.ErrUndecided outside of a tool, a prompt or a resource of this package's endpoint.
func Recheck(ctx context.Context, policies ...popauth.Policy) (*popauth.Principal, error) {
	c, ok := ctx.Value(messageKey{}).(*call)
	if !ok {
		return nil, &popauth.Error{Reason: popauth.ErrUndecided}
	}
	return c.recheck(c.request.WithContext(ctx), policies...) // the tool may outlive the request
}
