package caddymodule

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// world is Caddy in this process, an API behind it that notes what it sees, and who calls.
type world struct {
	issuer       *popauthtest.Issuer
	roots        *popauthtest.CA
	owner, thief *popauthtest.Client
	key          *popauthtest.ProofKey
	token, dpop  string
	config       []byte
	address      string
	mu           sync.Mutex
	seen         []*http.Request
}

const base = "https://api.example.com"

type object = map[string]any

func newWorld(t *testing.T, change ...func(handler object)) *world {
	w := &world{issuer: popauthtest.NewIssuer(t), roots: popauthtest.NewCA(t), key: popauthtest.NewProofKey(t, "ES256")}
	w.owner, w.thief = popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "owner")
	scope := popauthtest.Claims{"scope": "orders.read"}
	w.token, w.dpop = w.issuer.Token(w.owner.Bound(), scope), w.issuer.Token(w.key.Bound(), scope)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, r)
	}))
	t.Cleanup(api.Close)
	handler := object{
		"handler": "popauth", "issuer": w.issuer.URL, "audience": []string{popauthtest.Audience}, "keys": json.RawMessage(w.issuer.JWKS()),
		"base_url": base, "scopes": []string{"orders.read"},
	}
	for _, c := range change {
		c(handler)
	}
	upstream := object{"handler": "reverse_proxy", "upstreams": []object{{"dial": api.Listener.Addr().String()}}}
	server := w.roots.Server("api.example.com")
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	w.config, err = json.Marshal(object{
		"admin":   object{"disabled": true, "config": object{"persist": false}},
		"storage": object{"module": "file_system", "root": t.TempDir()},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{
			"tls": object{"certificates": object{"load_pem": []object{{
				"certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]})),
				"key":         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
			}}}},
			"http": object{"servers": object{"api": object{
				"listen": []string{"127.0.0.1:0"}, "protocols": []string{"h1", "h2"}, "automatic_https": object{"disable": true},
				"expected_underscore_headers": []string{"X_Auth_Issuer", "X_Rewrite_URL"}, // Caddy removes others by itself
				"tls_connection_policies":     []object{{"client_authentication": object{"mode": "request"}}},
				"routes": []object{
					{"match": []object{{"path": []string{"/orders", "/orders/*"}}}, "handle": []object{handler, upstream},
						"terminal": true},
					{"handle": []object{{"handler": "static_response", "status_code": 404}}},
				},
			}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// load has Caddy take up the configuration, once more if it runs already.
func (w *world) load(t *testing.T) {
	t.Helper()
	if err := caddy.Load(w.config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	app, err := caddy.ActiveContext().App("http")
	if err != nil {
		t.Fatal(err)
	}
	w.address = app.(*caddyhttp.App).Servers["api"].Listeners()[0].Addr().String()
}

// call sends a request of these lines, and returns the answer and what the API has seen; nil if it didn't run.
func (w *world) call(t *testing.T, as *popauthtest.Client, line string, fields ...string) (*http.Response, *http.Request) {
	t.Helper()
	config := &tls.Config{RootCAs: w.roots.Pool(), ServerName: "api.example.com", MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	conn, err := tls.Dial("tcp", w.address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w.mu.Lock()
	w.seen = nil
	w.mu.Unlock()
	text := line + " HTTP/1.1\r\nHost: api.example.com\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		return answer, nil
	}
	return answer, w.seen[0]
}

func (w *world) proof() []string {
	return []string{"Authorization: DPoP " + w.dpop, "DPoP: " + w.key.Proof("GET", base+"/orders", w.dpop)}
}

// Owners get through, and nothing that is refused gets to the API.
func TestCallers(t *testing.T) {
	w := newWorld(t)
	w.load(t)
	bearer := "Authorization: Bearer " + w.token
	used := w.proof()
	for _, tt := range []struct {
		name   string
		as     *popauthtest.Client
		line   string
		fields []string
		want   int
	}{
		{name: "owner", as: w.owner, line: "GET /orders", fields: []string{bearer}, want: 200},
		{name: "owner of a key", line: "GET /orders", fields: used, want: 200},
		{name: "the same proof", line: "GET /orders", fields: used, want: 401},
		{name: "a proof for another path", line: "GET /orders/7", fields: w.proof(), want: 401},
		{name: "no proof", line: "GET /orders", fields: []string{"Authorization: DPoP " + w.dpop}, want: 401},
		{name: "thief", as: w.thief, line: "GET /orders", fields: []string{bearer}, want: 401},
		{name: "no certificate", line: "GET /orders", fields: []string{bearer}, want: 401},
		{name: "nobody", line: "GET /orders", want: 401},
		{name: "two tokens", as: w.owner, line: "GET /orders", fields: []string{bearer, bearer}, want: 400},
		{name: "a bearer token", as: w.owner, line: "GET /orders", fields: []string{"Authorization: Bearer " +
			w.issuer.Token(popauthtest.Claims{"scope": "orders.read"})}, want: 401},
		{name: "another scope", as: w.owner, line: "GET /orders", fields: []string{"Authorization: Bearer " +
			w.issuer.Token(w.owner.Bound())}, want: 403},
		{name: "another name", as: w.owner, line: "GET /orders", fields: []string{bearer, "X-Auth-Subject: admin"}, want: 400},
		{name: "another name, otherwise spelled", as: w.owner, line: "GET /orders", fields: []string{bearer, "X_Auth_Issuer: admin"},
			want: 400},
		{name: "another method", as: w.owner, line: "GET /orders", fields: []string{bearer, "X-HTTP-Method-Override: DELETE"}, want: 400},
		{name: "a path with two readings", as: w.owner, line: "GET /orders//x", fields: []string{bearer}, want: 400},
		{name: "marked as early data", as: w.owner, line: "GET /orders", fields: []string{bearer, "Early-Data: 1"}, want: 425},
	} {
		answer, seen := w.call(t, tt.as, tt.line, tt.fields...)
		if answer.StatusCode != tt.want || (seen != nil) != (tt.want == 200) {
			t.Errorf("VULNERABLE: %s: got %d, the API ran: %t, want %d", tt.name, answer.StatusCode, seen != nil, tt.want)
		}
		cache := "no-store"
		if tt.want == 200 {
			cache = "private"
		}
		if got := answer.Header["Cache-Control"]; !slices.Equal(got, []string{cache}) {
			t.Errorf("%s: got Cache-Control %q, want %s", tt.name, got, cache)
		}
	}
	if answer, _ := w.call(t, nil, "GET /orders"); len(answer.Header["Www-Authenticate"]) != 2 {
		t.Errorf("got challenges %q, want two lines", answer.Header["Www-Authenticate"])
	}
}

// The API sees who is calling, and nothing that it could call others with.
func TestWhatTheAPISees(t *testing.T) {
	w := newWorld(t)
	w.load(t)
	answer, seen := w.call(t, w.owner, "GET /orders", "Authorization: Bearer "+w.token, "DPoP: x",
		"X_Rewrite_URL: /admin", "X.Auth.Subject: admin", "X-Original-URL: /admin", "X~Original~URL: /admin",
		"Connection: X-Auth-Subject, X-Auth-Issuer")
	if seen == nil {
		t.Fatalf("got %d, want 200", answer.StatusCode)
	}
	for name, want := range map[string][]string{
		"X-Auth-Issuer": {w.issuer.URL}, "X-Auth-Client": {"client-1"}, "X-Auth-Scope": {"orders.read"}, "X-Auth-Binding": {"x5t#S256"},
		"Authorization": nil, "Dpop": nil, "X_rewrite_url": nil, "X.auth.subject": nil, "X-Original-Url": nil,
		"X~original~url": nil,
	} {
		if got := seen.Header[name]; !slices.Equal(got, want) {
			t.Errorf("VULNERABLE: %s: the API sees %q, want %q", name, got, want)
		}
	}
	if len(seen.Header["X-Auth-Subject"]) != 1 {
		t.Errorf("the API sees the subjects %q, want one", seen.Header["X-Auth-Subject"])
	}
	_, seen = w.call(t, w.owner, "GET /orders", "Authorization: Bearer "+w.token, "Connection: Upgrade, X-Auth-Issuer",
		"Upgrade: websocket")
	if seen == nil || seen.Header.Get("Connection") != "Upgrade" || seen.Header.Get("X-Auth-Issuer") != w.issuer.URL {
		t.Errorf("a WebSocket: the API sees %v, want Upgrade and the caller", seen)
	}
}

// Caddy makes new Handlers when its configuration is loaded anew. A proof that one of the old ones has seen stays used.
func TestReload(t *testing.T) {
	w := newWorld(t)
	w.load(t)
	used := w.proof()
	if answer, _ := w.call(t, nil, "GET /orders", used...); answer.StatusCode != 200 {
		t.Fatalf("got %d, want 200", answer.StatusCode)
	}
	w.load(t)
	if answer, seen := w.call(t, nil, "GET /orders", used...); answer.StatusCode != 401 || seen != nil {
		t.Errorf("VULNERABLE: the same proof after a reload: got %d, want 401", answer.StatusCode)
	}
	if answer, _ := w.call(t, nil, "GET /orders", w.proof()...); answer.StatusCode != 200 {
		t.Errorf("another proof: got %d, want 200", answer.StatusCode)
	}
	forgotten(t)
}

// A handler behind it finds the caller as behind any stage.
func TestFromContext(t *testing.T) {
	w := newWorld(t)
	guard, err := popauth.New(w.issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	identity, err := forwardauth.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	h, ran := &Handler{guard: guard, identity: identity, policies: []popauth.Policy{popauth.Bound()}}, 0
	inside := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		ran++
		if p, ok := popauth.FromContext(r.Context()); !ok || p.ClientID != "client-1" {
			t.Errorf("got %v, %t, want the owner", p, ok)
		}
		return nil
	})
	for as, want := range map[*popauthtest.Client]int{w.thief: 401, w.owner: 200} {
		answer := httptest.NewRecorder()
		if err := h.ServeHTTP(answer, as.Request("GET", "/orders", w.token), inside); err != nil || answer.Code != want {
			t.Errorf("got %d, %v, want %d", answer.Code, err, want)
		}
	}
	if ran != 1 {
		t.Errorf("got %d, want once, for the owner", ran)
	}
}

// What is wrong with a configuration is said when it is loaded; none of it runs then.
func TestConfiguration(t *testing.T) {
	for name, change := range map[string]func(object){
		"no issuer":   func(h object) { delete(h, "issuer") },
		"no audience": func(h object) { delete(h, "audience") },
		"no scopes":   func(h object) { delete(h, "scopes") },
		"no base_url": func(h object) { delete(h, "base_url") },
		"no key":      func(h object) { h["keys"] = object{"keys": []object{}} },
	} {
		w := newWorld(t, change)
		if err := caddy.Validate(config(t, w.config)); err == nil || !strings.Contains(err.Error(), "popauth") {
			t.Errorf("%s: got %v, want an error of popauth", name, err)
		}
	}
	forgotten(t)
}

// forgotten sees that nothing is kept for Handlers that are gone.
func forgotten(t *testing.T) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if n, ok := replays.References("replay"); ok {
		t.Errorf("got %d references to the proofs that were used, want none", n)
	}
}

func config(t *testing.T, text []byte) *caddy.Config {
	c := new(caddy.Config)
	if err := json.Unmarshal(text, c); err != nil {
		t.Fatal(err)
	}
	return c
}
