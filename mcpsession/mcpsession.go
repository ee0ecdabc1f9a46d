// Package mcpsession serves a Model Context Protocol server behind a popauth.Guard, and binds each MCP session to the
// caller who opened it. The server is one of the Go SDK, github.com/modelcontextprotocol/go-sdk.
//
//	endpoint, err := mcpsession.New(mcpsession.Options{
//		Guard:    guard,
//		Policies: []popauth.Policy{popauth.Scope("orders.read")},
//		Server:   func(*http.Request) *mcp.Server { return server },
//	})
//	mux.Handle("/mcp", guard.Confirm(endpoint))
//
// A Guard decides about one request, and an MCP session is many. The SDK's own handler gives a session to whoever sends
// its ID, and gives tools the context of the request that opened it. Here instead:
//
//   - A session belongs to its owner: the issuer, the subject and the client of the token that opened it. Nobody else
//     calls tools in it, reads or resumes its event stream, or ends it; for them it doesn't exist (404, see
//     popauth.ErrSessionOwner). The owner may go on with a new token, another key or the other scheme.
//   - In tools, prompts and resources popauth.FromContext says who the request comes from that carries the call: the
//     scopes are those of its token, not of the token that opened the session.
//   - An event stream ends when the decision that opened it no longer holds, as when its token expires or is revoked. A
//     call that was let in is answered; a tool that runs for long can ask Recheck.
//
// Tools see neither the token nor its proof. Nothing else changes in them, and the server may be served in other ways
// too. The SDK's older transport, mcp.NewSSEHandler, binds no session, and is not for a Guard. What other protocols need
// is in docs/streams.md of popauth.
//
// # Answers to the server's own requests
//
// Where a tool asks the client for sampling, elicitation or roots, the answer comes in another request of the session,
// and so from the owner. The tool's caller stays the one who called it.
package mcpsession

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
)

// Options configure New, which checks them all and reports every problem.
type Options struct {
	_ [0]func()

	// Guard decides about every request. There must be one, made by popauth.New.
	Guard *popauth.Guard

	// Policies are what a request needs to reach the server, as for Guard.Authorize; an event stream needs them as long
	// as it lasts. If nil, a genuine token is enough, be it bound or not: see popauth.Bound, and Guard.Confirm.
	Policies []popauth.Policy

	// Server returns the server of a request, as the function that mcp.NewStreamableHTTPHandler takes. It may be the
	// same one for all. The request's context has its Principal; its Authorization and DPoP headers are removed. There
	// must be one. Middleware of a server's receiving side is to be added before it is returned for the first time.
	Server func(*http.Request) *mcp.Server

	// HTTP configures the SDK's handler. The zero value is the SDK's default: with sessions.
	HTTP mcp.StreamableHTTPOptions

	// Interval is how often the decision about an event stream is checked again. If zero, 30 s.
	Interval time.Duration
}

const defaultInterval = 30 * time.Second

// New returns the handler of an MCP endpoint, which is safe for concurrent use. It is a stage of the Guard: a request
// that the Guard refuses, or has not let pass, is answered by it. A token with neither subject nor client is refused
// with 403, since all such callers would share their sessions. It panics where Guard.Authorize does with the Policies.
func New(o Options) (http.Handler, error) {
	var wrong []error
	problem := func(field, what string) { wrong = append(wrong, fmt.Errorf("mcpsession: Options.%s: %s", field, what)) }
	if o.Guard == nil {
		problem("Guard", "nil")
	}
	if o.Server == nil {
		problem("Server", "nil")
	}
	if o.Interval < 0 {
		problem("Interval", "negative")
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	e := &endpoint{guard: o.Guard, policies: slices.Clone(o.Policies), interval: o.Interval, choose: o.Server}
	e.sdk = mcp.NewStreamableHTTPHandler(e.server, &o.HTTP)
	// The SDK compares TokenInfo.UserID with the session's, and its own middleware alone can set it.
	e.session = auth.RequireBearerToken(tokenInfo, &auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(http.HandlerFunc(e.withoutToken))
	return e.guard.Authorize(append(slices.Clone(o.Policies), popauth.PolicyFunc(named))...)(e), nil
}

// named refuses callers who could not be told from each other.
func named(_ *http.Request, p *popauth.Principal) error {
	if p.Subject == "" && p.ClientID == "" {
		return errors.New("token with neither sub nor client_id: nobody to bind a session to")
	}
	return nil
}

// owner is whose session it is. The lengths keep "a" and "bc" apart from "ab" and "c".
func owner(p *popauth.Principal) string {
	return fmt.Sprintf("%d:%s,%d:%s,%d:%s", len(p.Issuer), p.Issuer, len(p.Subject), p.Subject, len(p.ClientID), p.ClientID)
}
