package mcpsession_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/mcpsession"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Tools, prompts and resources see who the request comes from that calls them: with its own scopes, not with those of
// the token that opened the session.
func TestPrincipal(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	for _, mode := range []struct {
		name string
		http mcp.StreamableHTTPOptions
	}{
		{"sessions", mcp.StreamableHTTPOptions{}},
		{"sessions, JSON", mcp.StreamableHTTPOptions{JSONResponse: true}},
		{"sessions, events", mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}},
		{"stateless", mcp.StreamableHTTPOptions{Stateless: true}},
		{"stateless, JSON", mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			l := newLab(t, setup{options: func(o *mcpsession.Options) { o.HTTP = mode.http }})
			opener := alice
			opener.scope = "read cancel"
			session := ""
			if !mode.http.Stateless {
				session = l.connect(opener)
			}
			narrower, wider := alice, alice
			narrower.key, wider.scope = key, "read extra"
			for _, tt := range []struct {
				who  identity
				want string
			}{
				{opener, "alice/agent with read cancel"},
				{narrower, "alice/agent with read"},
				{wider, "alice/agent with read extra"},
			} {
				for _, body := range []string{callTool, getPrompt, readOne} {
					if got, answer := l.send(tt.who, request{method: "POST", session: session, body: body}); got != 200 ||
						!strings.Contains(answer, tt.want+`"`) {
						t.Errorf("%s: got %d %s, want %q", body, got, answer, tt.want)
					}
				}
			}
		})
	}
}

type contextKey struct{}

// A tool sees the values of its own request's context, the SDK's TokenInfo among them, and neither token nor proof.
func TestValues(t *testing.T) {
	n := 0
	l := newLab(t, setup{outer: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, n)))
		})
	}})
	mcp.AddTool(l.server, &mcp.Tool{Name: "values"},
		func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			info, h := auth.TokenInfoFromContext(ctx), r.Extra.Header
			return nil, who{fmt.Sprint(ctx.Value(contextKey{}), " ", info == r.Extra.TokenInfo, " ", info.Scopes, " ",
				info.Expiration.IsZero(),
				" headers ", len(h["Authorization"]), len(h["Dpop"]), " ", h.Get("Content-Type"))}, nil
		})
	opener, caller := alice, alice
	opener.scope, caller.key = "read cancel", popauthtest.NewProofKey(t, "")
	session := l.connect(opener) // two requests
	got, answer := l.send(caller, request{method: "POST", session: session, body: strings.Replace(callTool, "whoami", "values", 1)})
	if want := "3 true [read] false headers 0 0 application/json"; got != 200 || !strings.Contains(answer, want) {
		t.Errorf("got %d %s, want %q", got, answer, want)
	}
}

// Without the middleware a tool has no caller: the session's context has none that could be taken for it.
func TestSessionContext(t *testing.T) {
	outside := ""
	l := newLab(t, setup{options: func(o *mcpsession.Options) {
		server := o.Server
		added := false
		o.Server = func(r *http.Request) *mcp.Server {
			if !added && r.Method == http.MethodPost && r.Header.Get("Mcp-Session-Id") != "" { // too late: it is outermost
				added = true
				server(r).AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
					return func(ctx context.Context, method string, r mcp.Request) (mcp.Result, error) {
						outside = caller(ctx)
						return next(ctx, method, r)
					}
				})
			}
			return server(r)
		}
	}})
	session := l.connect(alice)
	if got, body := l.send(alice, request{method: "POST", session: session, body: callTool}); got != 200 ||
		!strings.Contains(body, "alice") || outside != "nobody" {
		t.Errorf("got %d %s, outside the middleware %q", got, body, outside)
	}
}

// The function that chooses a server knows the caller, and no token.
func TestServer(t *testing.T) {
	var chosen []string
	l := newLab(t, setup{options: func(o *mcpsession.Options) {
		server := o.Server
		o.Server = func(r *http.Request) *mcp.Server {
			chosen = append(chosen, fmt.Sprint(caller(r.Context()), len(r.Header["Authorization"])+len(r.Header["Dpop"])))
			if p, _ := popauth.FromContext(r.Context()); p.Subject == "bob" {
				return nil
			}
			return server(r)
		}
	}})
	l.connect(alice)
	if got, _ := l.send(bob, request{method: "POST", body: initialize}); got != 400 {
		t.Errorf("no server: got %d, want the SDK's 400", got)
	}
	for i, got := range chosen {
		if want := "alice/agent with read0"; got != want && i < len(chosen)-2 {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := chosen[len(chosen)-1]; got != "bob/agent with read0" {
		t.Errorf("got %q", got)
	}
}

// A tool that asks the client keeps its caller, and only the session's owner can answer.
func TestSampling(t *testing.T) {
	l := newLab(t, setup{})
	asked := make(chan struct{}, 1)
	mcp.AddTool(l.server, &mcp.Tool{Name: "ask"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who,
		error) {
		before := caller(ctx)
		asked <- struct{}{}
		//nolint:staticcheck // sampling is what servers ask for today
		result, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{MaxTokens: 1, Messages: []*mcp.SamplingMessage{}})
		if err != nil {
			return nil, who{}, err
		}
		text, _ := result.Content.(*mcp.TextContent)
		return nil, who{before + ", " + text.Text + ", " + caller(ctx)}, nil
	})
	session := l.connect(alice)
	answerer := alice
	answerer.scope = "read answer"
	stream := l.open(alice, request{method: "POST", session: session, body: strings.Replace(callTool, "whoami", "ask", 1)})
	<-asked
	events := newEvents(stream.Body)
	id := events.id(t)
	answer := `{"jsonrpc":"2.0","id":` + id + `,"result":{"role":"assistant","model":"m","content":{"type":"text","text":"TEXT"}}}`
	if got, _ := l.send(bob, request{method: "POST", session: session, body: strings.Replace(answer, "TEXT", "bob's", 1)}); got != 404 {
		t.Errorf("bob answers: got %d, want 404", got)
	}
	if got, body := l.send(answerer, request{method: "POST", session: session,
		body: strings.Replace(answer, "TEXT", "hers", 1)}); got != 202 {
		t.Errorf("alice answers: got %d %s, want 202", got, body)
	}
	if got, want := events.next(t), "alice/agent with read, hers, alice/agent with read"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %q", got, want)
	}
}
