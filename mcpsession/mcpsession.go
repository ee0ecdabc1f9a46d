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
// its ID, and gives tools the context of the request that opened it. With mcpsession:
//
//   - A session belongs to its owner: the issuer, the subject and the client of the token that opened it. Nobody else
//     calls tools in it, reads or resumes its event stream, or ends it; for them it doesn't exist (404, see
//     popauth.ErrSessionOwner). The owner may go on with a new token, another key or the other scheme.
//   - In tools, prompts and resources popauth.FromContext returns the caller of the current request, with the scopes of
//     its token, not of the token that opened the session.
//   - An event stream ends when the decision that opened it no longer holds, as when its token expires or is revoked. An
//     accepted call is answered; a tool that runs for long can ask Recheck.
//
// Tools see neither the token nor its proof. Nothing else changes in them, and the server may be served in other ways
// too. The SDK's older transport, mcp.NewSSEHandler, binds no session: don't use it with a Guard. For other protocols see
// docs/streams.md of popauth.
//
// # Answers to the server's own requests
//
// If a tool asks the client for sampling, elicitation or roots, the answer comes in another request of the session, and
// so from the owner. The tool's caller stays the same.
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
	// as it lasts. Repeat here what stages in front ask for. If nil, a genuine token is enough, be it bound or not: see
	// popauth.Bound, and Guard.Confirm.
	Policies []popauth.Policy

	// Server returns the server of a new session, as the function that mcp.NewStreamableHTTPHandler takes. It may be the
	// same one for all. The SDK asks it on each request, and heeds the answer when a session is opened alone: don't choose
	// by what the token may do, since the session goes on with a later one that may do less. The request's context has its
	// Principal; its Authorization and DPoP headers are removed, so that the Guard can't be asked about it. There
	// must be one. Middleware of a server's receiving side is to be added before it is returned for the first time.
	Server func(*http.Request) *mcp.Server

	// HTTP configures the SDK's handler. The zero value is the SDK's default: with sessions, any number for each caller,
	// that never end by themselves. Set SessionTimeout. An EventStore is called without the caller.
	HTTP mcp.StreamableHTTPOptions

	// Interval is how often the decision about an event stream is checked again. A check that fails for an outage ends the
	// stream, too. If zero, 30 s.
	Interval time.Duration
}

const defaultInterval = 30 * time.Second

// New returns the handler of an MCP endpoint, which is safe for concurrent use. It is a stage of the Guard: a request
// that the Guard refuses, or has not let pass, is answered by it. A token with neither subject nor client is refused
// with 403, since all such callers would share their sessions. It panics where Guard.Authorize does with the Policies.
func New(o Options) (http.Handler, error) {
	e, err := newEndpoint(o)
	if err != nil {
		return nil, err
	}
	return e.guard.Authorize(append(slices.Clone(o.Policies), popauth.PolicyFunc(named))...)(e), nil
}

func newEndpoint(o Options) (*endpoint, error) {
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
	e.session = auth.RequireBearerToken(tokenInfo,
		&auth.RequireBearerTokenOptions{AllowMissingExpiration: true})(http.HandlerFunc(e.withoutToken))
	return e, nil
}

// named refuses callers who could not be told from each other.
func named(_ *http.Request, p *popauth.Principal) error {
	if p.Subject == "" && p.ClientID == "" {
		return errors.New("token with neither sub nor client_id: nobody to bind a session to")
	}
	return nil
}

// clientNames are the names that issuers have for client_id.
type clientNames struct {
	AZP   string `json:"azp"`   // Keycloak, Auth0, Entra
	CID   string `json:"cid"`   // Okta
	AppID string `json:"appid"` // Entra, v1.0
}

// owner is whose session it is: the issuer's, the subject's and the client's, under each of its names. The lengths keep "a"
// and "bc" apart from "ab" and "c".
func owner(p *popauth.Principal, client clientNames) string {
	key := ""
	for _, part := range []string{p.Issuer, p.Subject, p.ClientID, client.AZP, client.CID, client.AppID} {
		key += fmt.Sprintf("%d:%s,", len(part), part)
	}
	return key
}
