package extauthz

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// world is an owner of tokens, a thief, and an API behind Envoy that notes what it sees.
type world struct {
	issuer       *popauthtest.Issuer
	roots        *popauthtest.CA
	owner, thief *popauthtest.Client
	key          *popauthtest.ProofKey
	token, dpop  string
	guard        *popauth.Guard
	devices      popauth.CertificateSource
	address      string
	mu           sync.Mutex
	seen         []*http.Request
}

const base = "https://api.example.com"

// oneNonce gives the nonce with each answer.
type oneNonce struct{}

// Check implements dpop.NonceSource.
func (oneNonce) Check(_ context.Context, nonce string, _ time.Time) (ok bool, next string, err error) {
	return nonce == "one", "one", nil
}

func newWorld(t *testing.T) *world {
	w := &world{issuer: popauthtest.NewIssuer(t), roots: popauthtest.NewCA(t), key: popauthtest.NewProofKey(t, "ES256")}
	authority := popauthtest.NewCA(t)
	w.owner, w.thief = authority.Client("owner"), popauthtest.SelfSigned(t, "owner")
	scope := popauthtest.Claims{"scope": "orders.read"}
	w.token, w.dpop = w.issuer.Token(w.owner.Bound(), scope), w.issuer.Token(w.key.Bound(), scope)
	proofs, err := dpop.New(dpop.Options{BaseURL: base, Nonces: oneNonce{}})
	if err != nil {
		t.Fatal(err)
	}
	o := w.issuer.Options()
	o.Certificate, o.Confirmers = certificates(t), []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	if w.guard, err = popauth.New(o); err != nil {
		t.Fatal(err)
	}
	if w.devices, err = clientcert.Verified(certificates(t), clientcert.Verification{Roots: authority.Pool()}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) serve(t *testing.T, configuration string, routes map[string]Route) {
	w.address = serve(t, setup{configuration: configuration, guard: w.guard, routes: routes, server: w.roots.Server("127.0.0.1")},
		http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, r)
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Vary", "Accept")
		}))
}

// call sends a request of these lines, and returns the answer and what the API has seen; nil if it didn't run.
func (w *world) call(t *testing.T, as *popauthtest.Client, line string, fields ...string) (*http.Response, string, *http.Request) {
	t.Helper()
	config := &tls.Config{RootCAs: w.roots.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
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
	text := line + " HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n"
	for _, f := range fields {
		text += f + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		return answer, string(body), nil
	}
	return answer, string(body), w.seen[0]
}

// The answers are those of guard.Authorize, line by line, and nothing that is refused gets to the API.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	w.serve(t, envoyYAML, Routes(w.guard, w.devices))
	bearer, forged := "Authorization: Bearer "+w.token, `X-Forwarded-Client-Cert: Hash=00;Cert="`+w.owner.Thumbprint()+`"`
	for _, tt := range []struct {
		name   string
		as     *popauthtest.Client
		line   string
		fields []string
		want   int
	}{
		{name: "owner", as: w.owner, line: "GET /orders?page=2", fields: []string{bearer}, want: 200},
		{name: "thief", as: w.thief, line: "GET /orders", fields: []string{bearer}, want: 401},
		{name: "no certificate", line: "GET /orders", fields: []string{bearer}, want: 401},
		{name: "no certificate, a forged header", line: "GET /orders", fields: []string{bearer, forged}, want: 401},
		{name: "two tokens", as: w.owner, line: "GET /orders", fields: []string{bearer, bearer}, want: 400},
		{name: "two tokens on one line", as: w.owner, line: "GET /orders", fields: []string{bearer + "," + w.token}, want: 400},
		{name: "marked as early data", as: w.owner, line: "GET /orders", fields: []string{bearer, "Early-Data: 1"}, want: 425},
		{name: "another scope", as: w.owner, line: "GET /catalog", fields: []string{bearer}, want: 403},
		{name: "another method", as: w.owner, line: "POST /orders", fields: []string{bearer, "Content-Length: 0"}, want: 403},
		{name: "a path with two readings", as: w.owner, line: "GET /orders/%2e%2e/admin", fields: []string{bearer}, want: 400},
		{name: "a path that net/url would write otherwise", as: w.owner, line: "GET /orders/%7E", fields: []string{bearer}, want: 400},
		{name: "a device of no authority", as: w.thief, line: "POST /readings", fields: []string{"Content-Length: 0"}, want: 403},
		{name: "public", line: "GET /health", want: 200},
		{name: "public, with a method override", line: "GET /health", fields: []string{"X-HTTP-Method-Override: DELETE"}, want: 400},
	} {
		answer, body, seen := w.call(t, tt.as, tt.line, tt.fields...)
		if answer.StatusCode != tt.want || (seen != nil) != (tt.want == 200) {
			t.Errorf("%s: got %d %q, the API ran: %t, want %d", tt.name, answer.StatusCode, body, seen != nil, tt.want)
		}
		if tt.want == 200 || answer.Header.Get("Content-Type") != "application/problem+json" {
			continue
		}
		if got := answer.Header["Cache-Control"]; !slices.Equal(got, []string{"no-store"}) || strings.Contains(body, w.token) {
			t.Errorf("%s: got Cache-Control %q, want no-store; body %s", tt.name, got, body)
		}
	}
	answer, body, _ := w.call(t, w.owner, "GET /catalog", bearer)
	if got := answer.Header["Www-Authenticate"]; len(got) != 1 || !strings.Contains(got[0], `scope="catalog.read"`) {
		t.Errorf("got challenges %q, want the scope", got)
	}
	if !strings.Contains(body, `"error":"insufficient_scope"`) {
		t.Errorf("got body %s, want the problem", body)
	}
	if answer, _, _ := w.call(t, nil, "GET /orders"); len(answer.Header["Www-Authenticate"]) != 2 {
		t.Errorf("got challenges %q, want two lines", answer.Header["Www-Authenticate"])
	}
}

// The API sees who is calling, whatever a client says of that, and nothing that it could call others with.
func TestWhatTheAPISees(t *testing.T) {
	w := newWorld(t)
	// The Service takes away by itself what the decision was made on.
	w.serve(t, strings.Replace(envoyYAML, "[x-forwarded-client-cert, ", "[", 1), Routes(w.guard, w.devices))
	var forged []string
	for _, name := range []string{"X-Auth-Subject", "X_Auth_Subject", "X.Auth.Subject", "X-Auth-Device", "X-Auth-Other",
		"X-Original-URL", "X.Original.URL", "X~Rewrite~URL"} {
		forged = append(forged, name+": admin")
	}
	answer, _, seen := w.call(t, w.owner, "GET /orders", append(forged, "Authorization: Bearer "+w.token)...)
	if seen == nil {
		t.Fatalf("got %d, want 200", answer.StatusCode)
	}
	for name, want := range map[string][]string{
		"X-Auth-Issuer": {w.issuer.URL}, "X-Auth-Subject": {"alice"}, "X-Auth-Scope": {"orders.read"}, "X-Auth-Binding": {"x5t#S256"},
		"X-Auth-Device": {""}, "X-Auth-Other": nil, "X.auth.subject": nil, "X_auth_subject": nil,
		"Authorization": nil, "Dpop": nil, "X-Forwarded-Client-Cert": nil,
		"X-Original-Url": nil, "X.original.url": nil, "X~rewrite~url": nil,
	} {
		if got := seen.Header[name]; !slices.Equal(got, want) && (name != "X-Auth-Subject" || len(got) != 1 || got[0] == "admin") {
			t.Errorf("VULNERABLE: %s: the API sees %q, want %q", name, got, want)
		}
	}
	// What caches keep is the caller's own, whatever the API says.
	if got := strings.Join(answer.Header["Cache-Control"], ", "); got != "max-age=60,private" {
		t.Errorf("got Cache-Control %q, want private beside the API's", got)
	}
	if got := strings.Join(answer.Header["Vary"], ", "); got != "Accept,Authorization, DPoP" {
		t.Errorf("got Vary %q, want both", got)
	}
	if _, _, seen = w.call(t, nil, "GET /health", append(forged, "DPoP: x")...); seen == nil ||
		seen.Header.Get("X-Auth-Subject")+seen.Header.Get("Dpop") != "" {
		t.Errorf("VULNERABLE: public: the API sees %v, want nobody", seen)
	}
	_, _, seen = w.call(t, w.owner, "POST /readings", append(forged, "Content-Length: 0")...)
	if seen == nil || seen.Header.Get("X-Auth-Device") != "owner" || seen.Header.Get("X-Auth-Subject") != "" {
		t.Errorf("VULNERABLE: a device: the API sees %v, want the device and no subject", seen)
	}
}

// A refusal of HEAD has no body, and is one answer.
func TestHead(t *testing.T) {
	w := newWorld(t)
	w.serve(t, strings.ReplaceAll(envoyYAML, "exact: GET", "exact: HEAD"), Routes(w.guard, w.devices))
	for as, want := range map[*popauthtest.Client]int{w.owner: 200, w.thief: 401} {
		answer, body, seen := w.call(t, as, "HEAD /orders", "Authorization: Bearer "+w.token)
		if answer.StatusCode != want || body != "" || (seen != nil) != (want == 200) {
			t.Errorf("got %d %q, the API ran: %t, want %d", answer.StatusCode, body, seen != nil, want)
		}
	}
}

// A nonce comes with a refusal, and the next one with what passes. A proof is good once.
func TestNonces(t *testing.T) {
	w := newWorld(t)
	w.serve(t, envoyYAML, Routes(w.guard, w.devices))
	proof := func(nonce string) []string {
		proof := w.key.Proof("GET", base+"/orders", w.dpop, popauthtest.Claims{"nonce": nonce})
		return []string{"Authorization: DPoP " + w.dpop, "DPoP: " + proof}
	}
	answer, _, seen := w.call(t, nil, "GET /orders", proof("none")...)
	nonce := answer.Header.Get("DPoP-Nonce")
	if answer.StatusCode != 401 || nonce == "" || seen != nil {
		t.Fatalf("got %d, nonce %q, want 401 with one", answer.StatusCode, nonce)
	}
	good := proof(nonce)
	answer, _, seen = w.call(t, nil, "GET /orders", good...)
	if answer.StatusCode != 200 || seen == nil || answer.Header.Get("DPoP-Nonce") != "one" || seen.Header["Dpop-Nonce"] != nil {
		t.Fatalf("got %d, nonce %q, want 200 with one for the client alone", answer.StatusCode, answer.Header["Dpop-Nonce"])
	}
	if answer, _, seen = w.call(t, nil, "GET /orders", good...); answer.StatusCode != 401 || seen != nil {
		t.Errorf("VULNERABLE: the same proof: got %d, want 401", answer.StatusCode)
	}
}

// What a configuration leaves out refuses its requests.
func TestForgottenLines(t *testing.T) {
	for _, tt := range []struct {
		name      string
		old, line string // of the configuration
		change    func(*setup)
		want      int
	}{
		{name: "no raw headers", old: "encode_raw_headers: true", want: 400},
		{name: "a route without a name", old: "route: orders read", line: "other: a", want: 403},
		{name: "the client's own identity stays", old: "x[^a-z0-9]auth[^a-z0-9].*", line: "none", want: 400},
		{name: "no certificate", old: "forward_client_cert_details: SANITIZE_SET", want: 401},
		{name: "a route that the Service doesn't have", change: func(s *setup) { delete(s.routes, "orders read") }, want: 403},
		{name: "another peer than Envoy", change: func(s *setup) {
			other := proxy.TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))
			s.trust = &other
		}, want: 403},
		{name: "no service", change: func(s *setup) { s.down = true }, want: 503},
	} {
		w, spy := newWorld(t), &popauthtest.Spy{}
		s := setup{guard: w.guard, routes: Routes(w.guard, w.devices), server: w.roots.Server("127.0.0.1")}
		s.configuration = strings.Replace(envoyYAML, tt.old, tt.line, 1)
		if tt.change != nil {
			tt.change(&s)
		}
		w.address = serve(t, s, spy)
		answer, body, _ := w.call(t, w.owner, "GET /orders", "Authorization: Bearer "+w.token, "X-Auth-Subject: admin")
		if answer.StatusCode != tt.want || spy.Ran() != 0 {
			t.Errorf("VULNERABLE: %s: got %d %q, the API ran %d times, want %d", tt.name, answer.StatusCode, body, spy.Ran(), tt.want)
		}
	}
}

// A panic refuses its request, and none after it.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	routes := Routes(w.guard, w.devices)
	routes["catalog"] = func(r *http.Request) (*Allowed, error) {
		d, err := w.guard.Decide(r, popauth.PolicyFunc(func(*http.Request, *popauth.Principal) error { panic("policy") }))
		return &Allowed{Decision: d}, err
	}
	w.serve(t, envoyYAML, routes)
	for _, tt := range []struct {
		path string
		want int
	}{{"/catalog", 503}, {"/orders", 200}} {
		answer, _, seen := w.call(t, w.owner, "GET "+tt.path, "Authorization: Bearer "+w.token)
		if answer.StatusCode != tt.want || (seen != nil) != (tt.want == 200) {
			t.Errorf("%s: got %d, the API ran: %t, want %d", tt.path, answer.StatusCode, seen != nil, tt.want)
		}
	}
}

// asked is what Envoy asks about a request.
func asked(target string) *auth.CheckRequest {
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		ContextExtensions: map[string]string{"route": "health"},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Method: "GET", Path: target, HeaderMap: &core.HeaderMap{Headers: []*core.HeaderValue{
				{Key: ":path", RawValue: []byte("/health")}, {Key: "x-other", RawValue: []byte("a")},
			}},
		}},
	}}
}

// What is no path and query has no route, whichever Envoy names. Pseudo-headers are no headers.
func TestOtherTargets(t *testing.T) {
	w := newWorld(t)
	identity, err := forwardauth.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	s := &Service{
		Guard: w.guard, Identity: identity, Trusted: func(*http.Request) error { return nil },
		Routes: map[string]Route{"health": func(r *http.Request) (*Allowed, error) {
			ran++
			if len(r.Header) != 1 {
				t.Errorf("got headers %v, want one", r.Header)
			}
			return &Allowed{Decision: &popauth.Decision{Request: r}}, nil
		}},
	}
	for _, target := range []string{"", "*", "http://api.example.com/health", "health", "/%zz"} {
		answer, err := s.Check(t.Context(), asked(target))
		if got := answer.GetDeniedResponse().GetStatus().GetCode(); err != nil || got != 400 || ran != 0 {
			t.Errorf("VULNERABLE: %q: got %d, %v, the route was asked %d times, want 400", target, got, err, ran)
		}
	}
	if answer, err := s.Check(t.Context(), asked("/health")); err != nil || answer.GetOkResponse() == nil || ran != 1 {
		t.Errorf("got %v, %v, want a request that passes", answer, err)
	}
}
