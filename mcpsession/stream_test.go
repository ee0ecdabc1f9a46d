package mcpsession_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/mcpsession"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// events reads the data of an event stream.
type events struct{ lines *bufio.Scanner }

func newEvents(r io.Reader) *events { return &events{bufio.NewScanner(r)} }

func (e *events) next(t *testing.T) string {
	t.Helper()
	for e.lines.Scan() {
		if data, ok := strings.CutPrefix(e.lines.Text(), "data: "); ok && data != "" {
			return data
		}
	}
	t.Fatalf("no event: %v", e.lines.Err())
	return ""
}

// id returns the id of the next message.
func (e *events) id(t *testing.T) string {
	t.Helper()
	var message struct{ ID json.RawMessage }
	if err := json.Unmarshal([]byte(e.next(t)), &message); err != nil || message.ID == nil {
		t.Fatalf("no id: %v", err)
	}
	return string(message.ID)
}

// expiring is alice with a token that is good for a minute.
func expiring(clock *popauthtest.Clock) identity {
	i := alice
	i.id, i.claims = "1", popauthtest.Claims{"exp": clock.Now().Add(time.Minute).Unix()}
	return i
}

// An event stream ends when the decision that opened it no longer holds, and not before.
func TestStreamEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		then func(*lab, *popauthtest.Clock)
	}{
		{"expired", func(_ *lab, c *popauthtest.Clock) { c.Advance(2 * time.Minute) }},
		{"revoked", func(l *lab, _ *popauthtest.Clock) { l.set(func() { l.revoked["1"] = true }) }},
		{"a policy panics", func(l *lab, _ *popauthtest.Clock) { l.set(func() { l.panics = true }) }},
		{"a policy says no", func(l *lab, _ *popauthtest.Clock) { l.set(func() { l.forbidden = "1" }) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock := popauthtest.NewClock(time.Now())
			l := newLab(t, setup{guard: func(o *popauth.Options) { o.Now = clock.Now }})
			session := l.connect(alice)
			stream := l.open(expiring(clock), request{method: "GET", session: session})
			later := l.open(alice, request{method: "GET", session: l.connect(alice)})
			if stream.StatusCode != 200 || later.StatusCode != 200 {
				t.Fatalf("got %d, %d", stream.StatusCode, later.StatusCode)
			}
			if err := l.ends(later, 100*time.Millisecond); err == nil {
				t.Error("a good stream has ended")
			}
			tt.then(l, clock)
			if err := l.ends(stream, 10*time.Second); err != nil {
				t.Errorf("got %v, want its end", err)
			}
			// The session itself goes on, with a token that is good.
			if got, body := l.send(alice, request{method: "POST", session: session, body: callTool}); got != 200 {
				t.Errorf("afterwards: got %d %s, want 200", got, body)
			}
		})
	}
}

// The Guard's clock and leeway decide when a token expires, not the SDK's middleware.
func TestClock(t *testing.T) {
	clock := popauthtest.NewClock(time.Now().Add(-time.Hour))
	l := newLab(t, setup{guard: func(o *popauth.Options) { o.Now = clock.Now }})
	as := expiring(clock)
	as.claims["iat"], as.claims["nbf"] = clock.Now().Unix(), popauthtest.Omit
	session := l.connect(as)
	clock.Advance(70 * time.Second) // within the leeway
	if got, body := l.send(as, request{method: "POST", session: session, body: callTool}); got != 200 {
		t.Errorf("within the leeway: got %d %s, want 200", got, body)
	}
	clock.Advance(time.Minute)
	if got, _ := l.send(as, request{method: "POST", session: session, body: callTool}); got != 401 || l.seen.count() != 1 {
		t.Errorf("expired: got %d, want 401", got)
	}
}

// A tool that runs for long can ask whether its caller's token still holds.
func TestRecheck(t *testing.T) {
	l := newLab(t, setup{})
	mcp.AddTool(l.server, &mcp.Tool{Name: "long"},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			before, err := mcpsession.Recheck(ctx)
			if err != nil {
				return nil, who{}, err
			}
			_, narrow := mcpsession.Recheck(ctx, popauth.Scope("other"))
			l.set(func() { l.revoked["long"] = true })
			_, after := mcpsession.Recheck(ctx)
			return nil, who{fmt.Sprint(before.TokenID, "; ", errors.Is(narrow, popauth.ErrScope),
				errors.Is(after, popauth.ErrTokenRevoked))}, nil
		})
	opener, as := alice, alice
	opener.id, as.id = "opener", "long"
	session := l.connect(opener)
	if got, body := l.send(as, request{method: "POST", session: session,
		body: strings.Replace(callTool, "whoami", "long", 1)}); got != 200 || !strings.Contains(body, "long; true true") {
		t.Errorf("got %d %s", got, body)
	}
	if _, err := mcpsession.Recheck(t.Context()); !errors.Is(err, popauth.ErrUndecided) {
		t.Errorf("outside: got %v, want %v", err, popauth.ErrUndecided)
	}
}

// A call that was let in is answered, however long it takes.
func TestCallGoesOn(t *testing.T) {
	l := newLab(t, setup{})
	started, release := make(chan struct{}), make(chan struct{})
	mcp.AddTool(l.server, &mcp.Tool{Name: "slow"},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			close(started)
			<-release
			return nil, who{caller(ctx)}, nil
		})
	as := alice
	as.id = "slow"
	session, answer := l.connect(alice), make(chan string)
	go func() { // the answer's header comes with its first event
		_, body := l.send(as, request{method: "POST", session: session, body: strings.Replace(callTool, "whoami", "slow", 1)})
		answer <- body
	}()
	<-started
	l.set(func() { l.revoked["slow"] = true })
	time.Sleep(100 * time.Millisecond)
	close(release)
	if got := <-answer; !strings.Contains(got, "alice/agent") {
		t.Errorf("got %s", got)
	}
}

// A tool goes on when its caller has gone away, and can still ask.
func TestRecheckAfterRequest(t *testing.T) {
	l := newLab(t, setup{guard: func(o *popauth.Options) {
		revoked := o.Revoked
		o.Revoked = func(ctx context.Context, token *popauth.Token) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err() // as what asks over the network would say
			}
			return revoked(ctx, token)
		}
	}})
	started, gone, asked := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	mcp.AddTool(l.server, &mcp.Tool{Name: "late"},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, who, error) {
			close(started)
			<-gone
			_, err := mcpsession.Recheck(ctx)
			asked <- err
			return nil, who{}, nil
		})
	ctx, cancel := context.WithCancel(t.Context())
	session := l.connect(alice)
	go func() {
		<-started
		cancel()
		time.Sleep(100 * time.Millisecond)
		close(gone)
	}()
	if err := l.try(alice, request{ctx: ctx, method: "POST", session: session,
		body: strings.Replace(callTool, "whoami", "late", 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the caller has gone", err)
	}
	if err := <-asked; err != nil {
		t.Errorf("got %v, want none", err)
	}
}

// A subscription is a POST, and its stream has no end of its own.
func TestSubscriptionEnds(t *testing.T) {
	l := newLab(t, setup{options: func(o *mcpsession.Options) { o.HTTP.Stateless = true }})
	as := alice
	as.id = "listen"
	const version = "2026-07-28"
	stream := l.open(as, request{method: "POST", header: map[string]string{"Mcp-Protocol-Version": version,
		"Mcp-Method": "subscriptions/listen"},
		body: `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{
			"io.modelcontextprotocol/protocolVersion":"` + version +
			`","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`})
	if got := newEvents(stream.Body).next(t); stream.StatusCode != 200 || !strings.Contains(got, "acknowledged") {
		t.Fatalf("got %d %s", stream.StatusCode, got)
	}
	l.set(func() { l.revoked["listen"] = true })
	if err := l.ends(stream, 10*time.Second); err != nil {
		t.Errorf("got %v, want its end", err)
	}
}

// proving is a client's transport: alice's or bob's token on every request.
type proving struct {
	*lab
	as func() identity
}

func (p proving) RoundTrip(r *http.Request) (*http.Response, error) {
	as := p.as()
	key := popauthtest.NewProofKey(p, "")
	token := p.issuer.Token(key.Bound(), popauthtest.Claims{"sub": as.sub, "client_id": as.client, "scope": as.scope})
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", key.Proof(r.Method, r.URL.String(), token))
	return p.api.Client().Transport.RoundTrip(r)
}

// The SDK's own client takes the refusal for a session that is gone, which is what lets it open one of its own.
func TestClient(t *testing.T) {
	l := newLab(t, setup{})
	as := alice
	client := mcp.NewClient(&mcp.Implementation{Name: "x", Version: "1"}, nil)
	transport := &mcp.StreamableClientTransport{Endpoint: l.api.URL + "/mcp",
		HTTPClient:           &http.Client{Transport: proving{l, func() identity { return as }}},
		DisableStandaloneSSE: true}
	session, err := client.Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	tool := &mcp.CallToolParams{Name: "whoami"}
	if result, err := session.CallTool(t.Context(), tool); err != nil || result.IsError {
		t.Fatalf("got %v, %v", result, err)
	}
	ran := l.seen.count()
	as = bob
	if _, err := session.CallTool(t.Context(), tool); !errors.Is(err, mcp.ErrSessionMissing) || l.seen.count() != ran {
		t.Errorf("got %v, ran %d times, want %v", err, l.seen.count()-ran, mcp.ErrSessionMissing)
	}
}
