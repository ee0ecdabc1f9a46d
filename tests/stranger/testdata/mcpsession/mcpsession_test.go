package stranger

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/mcpsession"
	"github.com/seed-171ab058/popauth/popauthtest"
)

type who struct {
	Who string `json:"who"`
}

// withToken adds the token to each request.
type withToken struct {
	token string
	base  http.RoundTripper
}

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+w.token)
	return w.base.RoundTrip(r)
}

// A tool sees the owner of the token, and a thief opens no session.
func TestTool(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "server", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			caller, ok := popauth.FromContext(ctx)
			if !ok {
				return nil, who{}, errors.New("nobody")
			}
			return nil, who{caller.Subject}, nil
		})
	endpoint, err := mcpsession.New(mcpsession.Options{
		Guard: guard, Policies: []popauth.Policy{popauth.Scope("read")},
		Server: func(*http.Request) *mcp.Server { return server },
	})
	if err != nil {
		t.Fatal(err)
	}
	api := popauthtest.NewServer(t, endpoint)
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	token := issuer.Token(owner.Bound(), popauthtest.Claims{"sub": "alice", "scope": "read"})
	connect := func(as *popauthtest.Client) (*mcp.ClientSession, error) {
		return mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
			Endpoint: api.URL + "/mcp", HTTPClient: &http.Client{Transport: withToken{token, as.HTTP(api).Transport}},
			DisableStandaloneSSE: true,
		}, nil)
	}
	session, err := connect(owner)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := result.StructuredContent.(map[string]any); !ok || got["who"] != "alice" {
		t.Errorf("got %v, want alice", result.StructuredContent)
	}
	if session, err := connect(thief); err == nil {
		_ = session.Close()
		t.Error("a thief: got a session")
	}
}
