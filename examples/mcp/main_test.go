package main

import (
	"bytes"
	"encoding/json"
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

func TestToolsSeeNoToken(t *testing.T) {
	r := httptest.NewRequest("POST", "/mcp", http.NoBody)
	r.Header.Set("Authorization", "DPoP secret")
	r.Header.Set("DPoP", "proof")
	withoutToken(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if len(r.Header) != 0 {
			t.Errorf("got %v", r.Header)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if r.Header.Get("Authorization") == "" {
		t.Error("the request of the outer handlers has changed")
	}
}

// Why the server is stateless: in a session, a tool takes every caller for the one who has opened it.
func TestSessionKeepsItsFirstCaller(t *testing.T) {
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list"}, listOrders)
	for _, stateless := range []bool{true, false} {
		api := popauthtest.NewServer(t, guard.Confirm(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
			&mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: true})))
		session := ""
		post := func(name, body string) string {
			c := popauthtest.SelfSigned(t, name)
			r, err := http.NewRequestWithContext(t.Context(), "POST", api.URL, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"Authorization": "Bearer " + issuer.Token(c.Bound(), popauthtest.Claims{"client_id": name}), "Content-Type": "application/json",
				"Accept": "application/json, text/event-stream", "Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-06-18",
			} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			resp, err := c.HTTP(api).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			session = resp.Header.Get("Mcp-Session-Id")
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		post("first", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`)
		if !stateless {
			id := session
			post("first", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			session = id
		}
		got := post("second", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list","arguments":{}}}`)
		want := "orders for second"
		if !stateless {
			want = "orders for first"
		}
		if !strings.Contains(got, want) {
			t.Errorf("stateless %t: got %s, want %q", stateless, got, want)
		}
	}
}
