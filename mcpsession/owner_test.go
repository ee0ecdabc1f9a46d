package mcpsession_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/mcpsession"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// withEvents lets streams be resumed.
func withEvents(o *mcpsession.Options) { o.HTTP.EventStore = mcp.NewMemoryEventStore(nil) }

// Nobody but its owner opens, reads, resumes or ends a session.
func TestOwner(t *testing.T) {
	other := popauthtest.NewIssuer(t)
	anyIssuer := func(o *mcpsession.Options) {
		withEvents(o)
		o.Policies = append(o.Policies, popauth.AnyIssuer())
	}
	l := newLab(t, setup{options: anyIssuer, guard: func(o *popauth.Options) {
		verifiers := map[string]popauth.Verifier{}
		for _, one := range []popauth.Options{*o, other.Options()} {
			v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: one.Issuer, Audience: one.Audience, Keys: one.Keys})
			if err != nil {
				t.Fatal(err)
			}
			verifiers[one.Issuer] = v
		}
		both, err := issuers.New(issuers.Options{Verifiers: verifiers})
		if err != nil {
			t.Fatal(err)
		}
		o.Verifier, o.Issuer, o.Audience, o.Keys = both, "", nil, nil
	}})
	session := l.connect(alice)
	as := func(change func(*identity)) identity {
		i := alice
		change(&i)
		return i
	}
	for _, tt := range []struct {
		name string
		who  identity
		own  bool
	}{
		{name: "another subject", who: bob},
		{name: "another subject, by DPoP", who: as(func(i *identity) { i.sub, i.key = "bob", popauthtest.NewProofKey(t, "") })},
		{name: "another client", who: as(func(i *identity) { i.client = "agent2" })},
		{name: "no subject", who: as(func(i *identity) { i.sub = "" })},
		{name: "no client", who: as(func(i *identity) { i.client = "" })},
		{name: "another issuer", who: as(func(i *identity) { i.issuer = other })},
		{name: "another case", who: as(func(i *identity) { i.sub = "Alice" })},
		{name: "another client by azp", who: as(func(i *identity) { i.claims = popauthtest.Claims{"azp": "agent2"} })},
		{name: "another client by cid", who: as(func(i *identity) { i.claims = popauthtest.Claims{"cid": "agent2"} })},
		{name: "another client by appid", who: as(func(i *identity) { i.claims = popauthtest.Claims{"appid": "agent2"} })},
		{name: "the owner, another token and certificate", who: alice, own: true},
		{name: "the owner, another scheme", who: as(func(i *identity) { i.key = popauthtest.NewProofKey(t, "") }), own: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.T = t
			before, refused := l.seen.count(), len(l.reasons())
			for _, q := range []struct {
				name string
				request
				own int // the status for the owner
			}{
				{"call", request{method: "POST", body: callTool}, 200},
				{"notification", request{method: "POST", body: initialized}, 202},
				{"answer", request{method: "POST", body: `{"jsonrpc":"2.0","id":1,"result":{}}`}, 202},
				{"initialize again", request{method: "POST", body: initialize}, 200},
				{"stream", request{method: "GET"}, 200},
				{"resumption", request{method: "GET", header: map[string]string{"Last-Event-ID": "x_0"}}, 400}, // no such stream
			} {
				q.session = session
				want := http.StatusNotFound
				if tt.own {
					want = q.own
				}
				if got, body := l.send(tt.who, q.request); got != want || !tt.own && body != "" {
					t.Errorf("%s: got %d %s, want %d", q.name, got, body, want)
				}
			}
			ran, reasons := l.seen.count()-before, l.reasons()[refused:]
			if tt.own {
				if ran != 1 || len(reasons) != 0 {
					t.Errorf("got %d calls, refusals %q", ran, reasons)
				}
				return
			}
			if got, _ := l.send(tt.who, request{method: "DELETE", session: session}); got != http.StatusNotFound {
				t.Errorf("DELETE: got %d, want 404", got)
			}
			if ran != 0 {
				t.Errorf("the tool ran %d times", ran)
			}
			if len(reasons) != 6 || slices.ContainsFunc(reasons, func(r popauth.Reason) bool { return r != popauth.ErrSessionOwner }) {
				t.Errorf("observed %q, want 6 times %q", reasons, popauth.ErrSessionOwner)
			}
		})
	}
	l.T = t
	if got, body := l.send(alice, request{method: "POST", session: session, body: callTool}); got != 200 ||
		!strings.Contains(body, "alice/agent") {
		t.Errorf("the owner afterwards: got %d %s", got, body)
	}
	if got, _ := l.send(alice, request{method: "DELETE", session: session}); got != http.StatusNoContent {
		t.Errorf("the owner's DELETE: got %d, want 204", got)
	}
	if got, _ := l.send(alice, request{method: "POST", session: session, body: callTool}); got != http.StatusNotFound {
		t.Errorf("the owner after DELETE: got %d, want 404", got)
	}
}

// A real stream of the owner's, with what it has carried, is not resumed by anybody else.
func TestResume(t *testing.T) {
	l := newLab(t, setup{options: withEvents})
	session := l.connect(alice)
	status, body := l.send(alice, request{method: "POST", session: session, body: callTool})
	_, id, found := strings.Cut(body, "id: ")
	id, _, _ = strings.Cut(id, "\n")
	if status != 200 || !found {
		t.Fatalf("got %d %s", status, body)
	}
	resume := request{method: "GET", session: session, header: map[string]string{"Last-Event-ID": id}}
	if got, body := l.send(bob, resume); got != 404 || body != "" {
		t.Errorf("bob: got %d %s, want 404", got, body)
	}
	if got := l.open(alice, resume); got.StatusCode != 200 {
		t.Errorf("alice: got %d, want 200", got.StatusCode)
	}
}

// A caller whom nothing tells from others gets no session, in any mode.
func TestNobody(t *testing.T) {
	nobody := identity{name: "n", scope: "read"}
	for _, tt := range []struct {
		name   string
		who    identity
		status int
	}{
		{"neither subject nor client", nobody, 403},
		{"no claims of that name", identity{name: "n", scope: "read",
			claims: popauthtest.Claims{"sub": popauthtest.Omit, "client_id": popauthtest.Omit}}, 403},
		{"subject alone", identity{name: "n", sub: "x", scope: "read"}, 200},
		{"client alone", identity{name: "n", client: "x", scope: "read"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, stateless := range []bool{false, true} {
				l := newLab(t, setup{options: func(o *mcpsession.Options) { o.HTTP.Stateless = stateless }})
				resp := l.open(tt.who, request{method: "POST", body: initialize})
				if resp.StatusCode != tt.status || (resp.Header.Get("Mcp-Session-Id") != "") != (tt.status == 200 && !stateless) {
					t.Errorf("stateless %t: got %d and the session %q, want %d", stateless, resp.StatusCode,
						resp.Header.Get("Mcp-Session-Id"), tt.status)
				}
				got, body := l.send(tt.who, request{method: "POST", body: callTool})
				if want := tt.status == 200 && stateless; (l.seen.count() == 1) != want || tt.status != 200 && got != tt.status {
					t.Errorf("stateless %t: call: got %d %s, ran %d times", stateless, got, body, l.seen.count())
				}
			}
		})
	}
}

// What no Guard has let pass reaches nothing.
func TestRefused(t *testing.T) {
	l := newLab(t, setup{})
	session := l.connect(alice)
	anonymous := popauthtest.SelfSigned(t, "x").HTTP(l.api)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		for _, id := range []string{session, ""} {
			r, err := http.NewRequest(method, l.api.URL, strings.NewReader(initialize))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
			if id != "" {
				r.Header.Set("Mcp-Session-Id", id)
			}
			resp, err := anonymous.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 401 || resp.Header.Get("Mcp-Session-Id") != "" || resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: got %d, %v, want 401", method, resp.StatusCode, resp.Header)
			}
		}
	}
	weak := alice
	weak.scope = "other"
	unbound := alice
	unbound.claims = popauthtest.Claims{"cnf": popauthtest.Omit}
	for _, tt := range []struct {
		name   string
		who    identity
		status int
	}{
		{"a scope too few", weak, 403},
		{"unbound", unbound, 401},
	} {
		for _, q := range []request{{method: "POST", body: callTool}, {method: "GET"}, {method: "DELETE"}} {
			q.session = session
			if got, _ := l.send(tt.who, q); got != tt.status {
				t.Errorf("%s: %s: got %d, want %d", tt.name, q.method, got, tt.status)
			}
		}
	}
	if got := l.seen.count(); got != 0 {
		t.Errorf("the tool ran %d times", got)
	}
}

// No cache keeps an answer: what tools say is their caller's, and a refusal is nobody's.
func TestAnswersAreNotKept(t *testing.T) {
	public := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("ETag", `"a"`)
			next.ServeHTTP(w, r)
		})
	}
	l := newLab(t, setup{outer: public})
	session := l.connect(alice)
	weak := alice
	weak.scope = "other"
	for _, tt := range []struct {
		name string
		as   identity
		q    request
		want string
	}{
		{"the owner's call", alice, request{method: "POST", body: callTool, session: session}, "no-store, no-transform"},
		{"the owner's event stream", alice, request{method: "GET", session: session}, "no-store, no-transform"},
		{"the SDK's refusal", alice, request{method: "POST", body: initialize, host: "evil.example.com"}, "no-store, no-transform"},
		{"a stranger's call", bob, request{method: "POST", body: callTool, session: session}, "no-store"},
		{"a scope too few", weak, request{method: "POST", body: callTool, session: session}, "no-store"},
	} {
		resp := l.open(tt.as, tt.q)
		if got := resp.Header["Cache-Control"]; len(got) != 1 || got[0] != tt.want ||
			tt.want == "no-store" && resp.Header.Get("ETag") != "" {
			t.Errorf("%s: got %d %v, want %s", tt.name, resp.StatusCode, resp.Header, tt.want)
		}
	}
}

// A 403 of the SDK's for another cause is answered as it is.
func TestOtherRefusals(t *testing.T) {
	l := newLab(t, setup{})
	got, body := l.send(alice, request{method: "POST", body: initialize, host: "evil.example.com"})
	if got != 403 || !strings.Contains(body, "invalid Host header") {
		t.Errorf("got %d %s, want the SDK's 403", got, body)
	}
}

func TestNewErrors(t *testing.T) {
	guard, err := popauth.New(popauthtest.NewIssuer(t).Options())
	if err != nil {
		t.Fatal(err)
	}
	server := func(*http.Request) *mcp.Server { return nil }
	for _, tt := range []struct {
		name    string
		options mcpsession.Options
		want    []string
	}{
		{"nothing", mcpsession.Options{}, []string{"Options.Guard", "Options.Server"}},
		{"negative", mcpsession.Options{Guard: guard, Server: server, Interval: -1}, []string{"Options.Interval"}},
		{"good", mcpsession.Options{Guard: guard, Server: server}, nil},
	} {
		h, err := mcpsession.New(tt.options)
		if (err == nil) != (tt.want == nil) || (h == nil) != (err != nil) {
			t.Errorf("%s: got %v, %v", tt.name, h, err)
		}
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", tt.name, err, want)
			}
		}
	}
}

// A Guard that New has not made lets nobody pass.
func TestZeroGuard(t *testing.T) {
	l := newLab(t, setup{options: func(o *mcpsession.Options) { o.Guard = &popauth.Guard{} }})
	if got, _ := l.send(alice, request{method: "POST", body: initialize}); got != 500 || l.seen.count() != 0 {
		t.Errorf("got %d, want 500", got)
	}
}
