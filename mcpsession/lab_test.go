package mcpsession_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/mcpsession"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// lab is an MCP server behind a Guard, with a tool, a prompt and a resource that tell who calls them.
type lab struct {
	*testing.T
	issuer *popauthtest.Issuer
	server *mcp.Server
	api    *httptest.Server
	seen   seen

	mu        sync.Mutex
	revoked   map[string]bool // by jti
	forbidden string          // the jti that a policy refuses
	panics    bool            // the policy does
	refused   []popauth.Reason
}

// seen is the spy: what has reached a tool, a prompt or a resource.
type seen struct {
	mu    sync.Mutex
	calls []string
}

func (s *seen) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

// setup is what a lab may have otherwise.
type setup struct {
	guard   func(*popauth.Options)
	options func(*mcpsession.Options)
	outer   func(http.Handler) http.Handler
}

func newLab(t *testing.T, s setup) *lab {
	t.Helper()
	l := &lab{T: t, issuer: popauthtest.NewIssuer(t), revoked: map[string]bool{}}
	l.server = mcp.NewServer(&mcp.Implementation{Name: "lab", Version: "1"}, nil)
	l.register()
	o := l.issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	o.Revoked = func(_ context.Context, token *popauth.Token) (bool, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.revoked[token.TokenID()], nil
	}
	o.Observe = func(_ context.Context, seen popauth.Observation) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if seen.Reason != "" {
			l.refused = append(l.refused, seen.Reason)
		}
	}
	if s.guard != nil {
		s.guard(&o)
	}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	options := mcpsession.Options{
		Guard: guard, Policies: []popauth.Policy{popauth.Bound(), popauth.Scope("read"), popauth.PolicyFunc(l.allow)},
		Server: func(*http.Request) *mcp.Server { return l.server }, Interval: 10 * time.Millisecond,
	}
	if s.options != nil {
		s.options(&options)
	}
	endpoint, err := mcpsession.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if s.outer != nil {
		endpoint = s.outer(endpoint)
	}
	l.api = popauthtest.NewServer(t, endpoint)
	return l
}

func (l *lab) allow(_ *http.Request, p *popauth.Principal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics && p.TokenID == "1" {
		panic("a policy's bug")
	}
	if p.TokenID != "" && p.TokenID == l.forbidden {
		return popauth.ErrForbidden
	}
	return nil
}

func (l *lab) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

type who struct {
	Who string `json:"who"`
}

// caller returns who a handler takes the caller for.
func caller(ctx context.Context) string {
	p, ok := popauth.FromContext(ctx)
	if !ok {
		return "nobody"
	}
	return p.Subject + "/" + p.ClientID + " with " + strings.Join(p.Scopes, " ")
}

func (l *lab) register() {
	mcp.AddTool(l.server, &mcp.Tool{Name: "whoami"},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			l.seen.add("tool")
			return nil, who{caller(ctx)}, nil
		})
	l.server.AddPrompt(&mcp.Prompt{Name: "whoami"}, func(ctx context.Context, _ *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		l.seen.add("prompt")
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: caller(ctx)}}}}, nil
	})
	l.server.AddResource(&mcp.Resource{Name: "whoami", URI: "test://whoami"},
		func(ctx context.Context, _ *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			l.seen.add("resource")
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "test://whoami", Text: caller(ctx)}}}, nil
		})
}

// identity is a caller of the lab.
type identity struct {
	name        string // of the certificate
	sub, client string
	scope       string
	id          string                // jti
	issuer      *popauthtest.Issuer   // if nil, the lab's
	key         *popauthtest.ProofKey // if nil, the token is bound to a certificate
	claims      popauthtest.Claims
}

var alice, bob = identity{name: "a", sub: "alice", client: "agent", scope: "read"}, identity{name: "b", sub: "bob", client: "agent",
	scope: "read"}

// request is one by hand.
type request struct {
	method, session, body string
	header                map[string]string
	host                  string
	ctx                   context.Context
}

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{` +
		`}},"clientInfo":{"name":"x","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	callTool    = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`
	getPrompt   = `{"jsonrpc":"2.0","id":3,"method":"prompts/get","params":{"name":"whoami"}}`
	readOne     = `{"jsonrpc":"2.0","id":4,"method":"resources/read","params":{"uri":"test://whoami"}}`
)

// open sends a request, and returns the answer with its body still open.
func (l *lab) open(as identity, q request) *http.Response {
	l.Helper()
	r, client := l.request(as, q)
	resp, err := client.HTTP(l.api).Do(r)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { resp.Body.Close() })
	return resp
}

// try sends a request that need not get an answer.
func (l *lab) try(as identity, q request) error {
	r, client := l.request(as, q)
	resp, err := client.HTTP(l.api).Do(r)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

func (l *lab) request(as identity, q request) (*http.Request, *popauthtest.Client) {
	l.Helper()
	if q.ctx == nil {
		q.ctx = l.Context()
	}
	target := l.api.URL + "/mcp"
	r, err := http.NewRequestWithContext(q.ctx, q.method, target, strings.NewReader(q.body))
	if err != nil {
		l.Fatal(err)
	}
	issuer := as.issuer
	if issuer == nil {
		issuer = l.issuer
	}
	claims := popauthtest.Claims{"sub": as.sub, "client_id": as.client, "scope": as.scope, "jti": as.id}
	client := popauthtest.SelfSigned(l, as.name)
	if as.key != nil {
		token := issuer.Token(as.key.Bound(), claims, as.claims)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", as.key.Proof(q.method, target, token))
		client = nil
	} else {
		r.Header.Set("Authorization", "Bearer "+issuer.Token(client.Bound(), claims, as.claims))
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	if q.method == http.MethodGet {
		r.Header.Set("Accept", "text/event-stream")
	}
	if q.session != "" {
		r.Header.Set("Mcp-Session-Id", q.session)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	if q.host != "" {
		r.Host = q.host
	}
	return r, client
}

// send returns the status and the body.
func (l *lab) send(as identity, q request) (status int, body string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 10*time.Second)
	defer cancel()
	q.ctx = ctx
	resp := l.open(as, q)
	if resp.StatusCode == http.StatusOK && q.method == http.MethodGet {
		return resp.StatusCode, "" // an event stream
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// connect opens a session, and returns its ID.
func (l *lab) connect(as identity) string {
	l.Helper()
	resp := l.open(as, request{method: "POST", body: initialize})
	_, err := io.Copy(io.Discard, resp.Body)
	id := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode != http.StatusOK || err != nil {
		l.Fatalf("initialize: got %d, %v", resp.StatusCode, err)
	}
	if status, body := l.send(as, request{method: "POST", session: id, body: initialized}); status != http.StatusAccepted {
		l.Fatalf("initialized: got %d: %s", status, body)
	}
	return id
}

// ends waits for the end of a stream.
func (l *lab) ends(resp *http.Response, within time.Duration) error {
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(within):
		return errors.New("still open")
	}
}

func (l *lab) reasons() []popauth.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]popauth.Reason(nil), l.refused...)
}
