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
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), &out)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"got       2 orders for reporting-agent", "got       401 invalid_dpop_proof", "got       401 invalid_token"} {
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
		{"another grant", id, clients[id].secret, url.Values{"grant_type": {"password"}}, []string{good()}, nil, 400, "unsupported_grant_type"},
		{"used before", id, clients[id].secret, grant, []string{used}, nil, 400, "invalid_dpop_proof"},
		{"two proofs", id, clients[id].secret, grant, []string{good(), good()}, nil, 400, "invalid_dpop_proof"},
		{"bad proof, good certificate", id, clients[id].secret, grant, []string{"x"}, owner, 400, "invalid_dpop_proof"},
		{"another address", id, clients[id].secret, grant, []string{key.Proof("POST", w.endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"another method", id, clients[id].secret, grant, []string{key.Proof("GET", endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"too old", id, clients[id].secret, grant, []string{key.Proof("POST", endpoint, "", popauthtest.Claims{"iat": time.Now().Unix() - 75})}, nil, 400, "invalid_dpop_proof"},
		{"from the future", id, clients[id].secret, grant, []string{key.Proof("POST", endpoint, "", popauthtest.Claims{"iat": time.Now().Unix() + 30})}, nil, 400, "invalid_dpop_proof"},
		{"no jti", id, clients[id].secret, grant, []string{key.Proof("POST", endpoint, "", popauthtest.Claims{"jti": popauthtest.Omit})}, nil, 400, "invalid_dpop_proof"},
		{"another typ", id, clients[id].secret, grant, []string{key.ProofWith(popauthtest.Claims{"typ": "JWT"}, "POST", endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"crit", id, clients[id].secret, grant, []string{key.ProofWith(popauthtest.Claims{"crit": []string{"x"}}, "POST", endpoint, "")}, nil, 400, "invalid_dpop_proof"},
		{"another key", id, clients[id].secret, grant, []string{key.ProofWith(popauthtest.Claims{"jwk": popauthtest.NewProofKey(t, "").JWK()}, "POST", endpoint, "")}, nil, 400, "invalid_dpop_proof"},
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
			if rec.Code != tt.status || strings.TrimSpace(got.Error+got.Type+" "+got.Scope) != tt.want || (got.Token != "") != (tt.status == 200) {
				t.Errorf("got %d %+v, want %d %s", rec.Code, got, tt.status, tt.want)
			}
		})
	}
}

// A tool knows the caller of the very request that calls it, and not the token. In a session it would take every caller
// for the one who has opened it.
func TestTools(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	options := issuer.Options()
	options.Resource.ID = "https://orders.example.com/mcp"
	guard, err := popauth.New(options)
	if err != nil {
		t.Fatal(err)
	}
	server := orders()
	mcp.AddTool(server, &mcp.Tool{Name: "header"}, func(_ context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, answer, error) {
		h := r.Extra.Header
		return nil, answer{fmt.Sprint("token ", h.Get("Authorization") != "", ", proof ", h.Get("DPoP") != "", ", type ", h.Get("Content-Type"))}, nil
	})
	sessions := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{JSONResponse: true})
	mux, inSessions := http.NewServeMux(), http.NewServeMux()
	routes(mux, guard, server)
	inSessions.Handle("/mcp", guard.Confirm(sessions))
	for _, tt := range []struct {
		name         string
		handler      http.Handler
		list, header string
	}{
		{"ours", mux, "orders for second", "token false, proof false, type application/json"},
		{"sessions", inSessions, "orders for first", "token true, proof true, type application/json"},
	} {
		c := &caller{t, issuer, popauthtest.NewServer(t, tt.handler), ""}
		c.post("first", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		c.post("first", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		for tool, want := range map[string]string{"list": tt.list, "header": tt.header} {
			got := c.post("second", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+tool+`","arguments":{}}}`)
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s: got %s, want %q", tt.name, tool, got, want)
			}
		}
	}
}

// caller speaks MCP by hand, each time under a name of its choice, but in one session if the server has sessions.
type caller struct {
	testing.TB
	issuer  *popauthtest.Issuer
	api     *httptest.Server
	session string
}

func (c *caller) post(name, body string) string {
	c.Helper()
	client := popauthtest.SelfSigned(c, name)
	r, err := http.NewRequest("POST", c.api.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + c.issuer.Token(client.Bound(), popauthtest.Claims{"client_id": name, "scope": "orders.read"}),
		"DPoP":          "x", "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Session-Id": c.session, "Mcp-Protocol-Version": "2025-06-18",
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	resp, err := client.HTTP(c.api).Do(r)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		c.session = id
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return string(b)
}
