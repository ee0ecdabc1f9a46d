package mcpsession

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
)

// endpoint is what stands behind the Guard's stage.
type endpoint struct {
	guard    *popauth.Guard
	policies []popauth.Policy
	interval time.Duration
	choose   func(*http.Request) *mcp.Server
	session  http.Handler // the SDK's middleware around withoutToken
	sdk      http.Handler

	mu       sync.Mutex
	prepared map[weak.Pointer[mcp.Server]]struct{} // those that have the middleware receive
}

// ServeHTTP hands a request that the Guard has let pass to the SDK, with its caller as the SDK's user.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, ok := popauth.FromContext(r.Context())
	if !ok { // no stage: New always puts one in front
		e.guard.Refuse(w, r, popauth.ErrUndecided)
		return
	}
	client, err := popauth.Claims[clientNames](caller)
	if err != nil {
		e.guard.Refuse(w, r, err)
		return
	}
	// The SDK keeps it as long as the session: without the body, and the connection behind that.
	kept := r.WithContext(r.Context())
	kept.Body, kept.GetBody = http.NoBody, nil
	c := &call{request: kept, endpoint: e, expires: caller.ExpiresAt,
		info: &auth.TokenInfo{UserID: owner(caller, client), Scopes: caller.Scopes}}
	c.info.Extra = map[string]any{extraKey: c}
	ctx, end := c.begin()
	defer end()
	if r.Method == http.MethodGet {
		c.watch()
	}
	inner := r.Clone(ctx)
	inner.Header.Set("Authorization", "Bearer guarded") // the SDK wants one, whatever the caller's scheme is
	inner.Header.Del("DPoP")
	a := &answer{ResponseWriter: w}
	e.session.ServeHTTP(a, inner)
	if a.finish() {
		_, err := e.guard.Check(r, foreign)
		e.guard.Refuse(w, r, err)
	}
}

// foreign refuses whoever is not a session's owner. It is a Policy so that the Guard observes the refusal as its own,
// and logs whose token it was.
var foreign = popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { return popauth.ErrSessionOwner })

// tokenInfo is the SDK's verifier. The Guard has verified the token, by its own clock: the SDK doesn't see yet when it
// expires.
func tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	return c.info, nil
}

// withoutToken is what the SDK's middleware lets pass to the SDK's handler.
func (e *endpoint) withoutToken(w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Authorization")
	if c, ok := r.Context().Value(callKey{}).(*call); ok {
		c.info.Expiration = c.expires
	}
	e.sdk.ServeHTTP(w, r)
}

// server returns the server of a request, made ready for it.
func (e *endpoint) server(r *http.Request) *mcp.Server {
	c, ok := r.Context().Value(callKey{}).(*call)
	if !ok {
		return nil
	}
	s := e.choose(r.WithContext(c.request.Context()))
	if s != nil {
		e.prepare(s)
	}
	return s
}

// prepare adds the middleware to a server, once. A weak pointer doesn't keep a server alive that was made for one
// session.
func (e *endpoint) prepare(s *mcp.Server) {
	key := weak.Make(s)
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, done := e.prepared[key]; done {
		return
	}
	if e.prepared == nil {
		e.prepared = map[weak.Pointer[mcp.Server]]struct{}{}
	}
	s.AddReceivingMiddleware(receive)
	e.prepared[key] = struct{}{}
	runtime.AddCleanup(s, func(key weak.Pointer[mcp.Server]) {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.prepared, key)
	}, key)
}
