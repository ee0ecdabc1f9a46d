package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), &out)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"got       2 orders for reporting-agent", "got       401 invalid_dpop_proof",
		"got       401 invalid_token", "got       404"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
}

// A step that comes to something else is told, and ends the program with an error.
func TestTell(t *testing.T) {
	var out bytes.Buffer
	err := tell(&out, []step{
		{"a thief", "calls", "401", func() (string, error) { return "200", nil }},
		{"a thief", "calls", "401", func() (string, error) { return "401", io.EOF }},
		{"a thief", "calls", "401", func() (string, error) { return "401", nil }},
	})
	if err == nil || strings.Count(out.String(), "<- not as expected") != 2 {
		t.Errorf("got %v\n%s", err, &out)
	}
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{}
	t.Cleanup(w.close)
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTokenEndpoint(t *testing.T) {
	w := start(t)
	key, owner := popauthtest.NewProofKey(t, ""), popauthtest.SelfSigned(t, "owner")
	endpoint := w.issuer.URL + "/token"
	good := func() string { return key.Proof("POST", endpoint, "") }
	used := good()
	const id = "reporting-agent"
	grant := url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read orders.cancel"}}
	for _, tt := range []struct {
		name, id, secret string
		form             url.Values
		proofs           []string
		client           *popauthtest.Client
		status           int
		want             string // error, or token_type and scope
	}{
		{"by proof", id, clients[id].secret, grant, []string{used}, nil, 200, "DPoP orders.read"},
		{"by certificate", "service-agent", clients["service-agent"].secret, grant, nil, owner, 200, "Bearer orders.read orders.cancel"},
		{"unbound", id, clients[id].secret, grant, nil, nil, 400, "invalid_dpop_proof"},
		{"another's secret", id, clients["service-agent"].secret, grant, []string{good()}, nil, 401, "invalid_client"},
		{"no secret", id, "", grant, []string{good()}, nil, 401, "invalid_client"},
		{"unknown client", "x", "", grant, []string{good()}, nil, 401, "invalid_client"},
		{"another grant", id, clients[id].secret, url.Values{"grant_type": {"password"}}, []string{good()}, nil, 400,
			"unsupported_grant_type"},
		{"used before", id, clients[id].secret, grant, []string{used}, nil, 400, "invalid_dpop_proof"},
		{"two proofs", id, clients[id].secret, grant, []string{good(), good()}, nil, 400, "invalid_dpop_proof"},
		{"bad proof, good certificate", id, clients[id].secret, grant, []string{"x"}, owner, 400, "invalid_dpop_proof"},
		{"another address", id, clients[id].secret, grant, []string{key.Proof("POST", w.endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"another method", id, clients[id].secret, grant, []string{key.Proof("GET", endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"too old", id, clients[id].secret, grant,
			[]string{key.Proof("POST", endpoint, "", popauthtest.Claims{"iat": time.Now().Unix() - 75})}, nil, 400, "invalid_dpop_proof"},
		{"from the future", id, clients[id].secret, grant,
			[]string{key.Proof("POST", endpoint, "", popauthtest.Claims{"iat": time.Now().Unix() + 30})}, nil, 400, "invalid_dpop_proof"},
		{"no jti", id, clients[id].secret, grant, []string{key.Proof("POST", endpoint, "", popauthtest.Claims{"jti": popauthtest.Omit})},
			nil, 400, "invalid_dpop_proof"},
		{"another typ", id, clients[id].secret, grant, []string{key.ProofWith(popauthtest.Claims{"typ": "JWT"}, "POST", endpoint, "")},
			nil, 400, "invalid_dpop_proof"},
		{"crit", id, clients[id].secret, grant, []string{key.ProofWith(popauthtest.Claims{"crit": []string{"x"}}, "POST", endpoint, "")},
			nil, 400, "invalid_dpop_proof"},
		{"another key", id, clients[id].secret, grant,
			[]string{key.ProofWith(popauthtest.Claims{"jwk": popauthtest.NewProofKey(t, "").JWK()}, "POST", endpoint, "")}, nil, 400,
			"invalid_dpop_proof"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", endpoint, strings.NewReader(tt.form.Encode()))
			r.TLS = tt.client.Request("GET", "/", "").TLS
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header["Dpop"] = tt.proofs
			r.SetBasicAuth(url.QueryEscape(tt.id), url.QueryEscape(tt.secret))
			rec := httptest.NewRecorder()
			w.issuer.Server.Config.Handler.ServeHTTP(rec, r)
			var got struct {
				Error string `json:"error"`
				Token string `json:"access_token"`
				Type  string `json:"token_type"`
				Scope string `json:"scope"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, rec.Body)
			}
			if rec.Code != tt.status || strings.TrimSpace(got.Error+got.Type+" "+got.Scope) != tt.want ||
				(got.Token != "") != (tt.status == 200) {
				t.Errorf("got %d %+v, want %d %s", rec.Code, got, tt.status, tt.want)
			}
		})
	}
}

// lab is the MCP server, with a tool beside its own that counts its calls and tells what it sees.
type lab struct {
	testing.TB
	issuer *popauthtest.Issuer
	api    *httptest.Server
	ran    atomic.Int64
}

func newLab(t *testing.T) *lab {
	l := &lab{TB: t, issuer: popauthtest.NewIssuer(t)}
	options := l.issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	options.Resource.ID = "https://orders.example.com/mcp"
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := orders()
	mcp.AddTool(server, &mcp.Tool{Name: "spy"}, func(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult,
		answer, error) {
		l.ran.Add(1)
		p, _ := popauth.FromContext(ctx)
		h := r.Extra.Header
		return nil, answer{fmt.Sprint(p.ClientID, " with ", p.Scopes, ", token ", h.Get("Authorization") != "", ", proof ",
			h.Get("DPoP") != "")}, nil
	})
	mux := http.NewServeMux()
	if err := routes(mux, guard, server); err != nil {
		t.Fatal(err)
	}
	l.api = popauthtest.NewServer(t, mux)
	return l
}

// send speaks MCP by hand, with a token of that client and those scopes, bound by DPoP or to a certificate.
func (l *lab) send(client, scope string, dpop bool, method, session, body string) (*http.Response, string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	l.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, l.api.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		l.Fatal(err)
	}
	claims := popauthtest.Claims{"sub": client, "client_id": client, "scope": scope}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2025-06-18"}}
	owner := popauthtest.SelfSigned(l, client)
	if dpop {
		key := popauthtest.NewProofKey(l, "")
		token := l.issuer.Token(key.Bound(), claims)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", key.Proof(method, r.URL.String(), token))
	} else {
		r.Header.Set("Authorization", "Bearer "+l.issuer.Token(owner.Bound(), claims))
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := owner.HTTP(l.api).Do(r)
	if err != nil {
		l.Fatal(err)
	}
	defer resp.Body.Close()
	if method == http.MethodGet && resp.StatusCode == http.StatusOK {
		return resp, "" // a stream without an end
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.Fatal(err)
	}
	return resp, string(b)
}

// Two callers and one session, which is the one's who opened it.
func TestSession(t *testing.T) {
	const spy = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"spy","arguments":{}}}`
	for _, dpop := range []bool{false, true} {
		l := newLab(t)
		resp, _ := l.send("alice", "orders.read orders.cancel", dpop, "POST", "", `{"jsonrpc":"2.0","id":1,"method":"initialize",
			"params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		session := resp.Header.Get("Mcp-Session-Id")
		if resp.StatusCode != 200 || session == "" {
			t.Fatalf("got %d and the session %q", resp.StatusCode, session)
		}
		l.send("alice", "orders.read", dpop, "POST", session, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		for _, method := range []string{"POST", "GET", "DELETE"} {
			if resp, _ := l.send("bob", "orders.read orders.cancel", dpop, method, session, spy); resp.StatusCode != 404 ||
				l.ran.Load() != 0 {
				t.Errorf("dpop %t: bob's %s: got %d, want 404; the tool ran %d times", dpop, method, resp.StatusCode, l.ran.Load())
			}
		}
		for scope, want := range map[string]string{
			"orders.read":               "alice with [orders.read], token false, proof false",
			"orders.read orders.cancel": "alice with [orders.read orders.cancel], token false, proof false",
		} {
			if resp, got := l.send("alice", scope, dpop, "POST", session, spy); resp.StatusCode != 200 || !strings.Contains(got, want) {
				t.Errorf("dpop %t: got %d %s, want %q", dpop, resp.StatusCode, got, want)
			}
		}
		if _, got := l.send("alice", "orders.read", dpop, "POST", session,
			strings.NewReplacer("spy", "cancel", "{}", `{"number":7}`).Replace(spy)); !strings.Contains(got, "orders.cancel is needed") {
			t.Errorf("dpop %t: cancel: got %s", dpop, got)
		}
		for _, want := range []struct {
			method string
			status int
		}{{"GET", 200}, {"DELETE", 204}} {
			if resp, _ := l.send("alice", "orders.read", dpop, want.method, session, ""); resp.StatusCode != want.status {
				t.Errorf("dpop %t: alice's %s: got %d, want %d", dpop, want.method, resp.StatusCode, want.status)
			}
		}
	}
}
