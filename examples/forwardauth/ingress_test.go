package main

import (
	_ "embed"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

//go:embed testdata/ingress-nginx.conf
var ingressConf string

// ingress-nginx reports one absolute URL, and passes on whatever else a client reports.
func TestIngressNginx(t *testing.T) {
	for _, tt := range []struct {
		name    string
		headers forwardauth.Headers
		honest  bool // an honest request passes
	}{
		{name: "IngressNginx", headers: forwardauth.IngressNginx(), honest: true},
		{name: "Nginx, for another configuration", headers: forwardauth.Nginx()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := opened(t, lanes[0], func(w *world) {
				w.nonceless = true
				w.setup = setup{configuration: ingressConf, headers: tt.headers, certificate: proxy.IngressNginx()}
			})
			passes := func(outcome string) string {
				if tt.honest {
					return outcome
				}
				return "500" // which is what ingress-nginx makes of 400
			}
			askIngress(t, w, passes)
		})
	}
}

func askIngress(t *testing.T, w *world, passes func(string) string) {
	t.Helper()
	nobody := &popauthtest.Client{}
	proof := func(url string) func(string) string {
		return func(base string) string {
			if strings.HasPrefix(url, "/") {
				url = base + url
			}
			return w.key.Proof("GET", url, w.dpop)
		}
	}
	const byProof = `200 issuer, "alice", "orders-batch", "orders.read", "jkt"`
	const byCertificate = `200 issuer, "alice", "orders-batch", "orders.read", "x5t#S256"`
	for _, r := range []request{
		{name: "the owner, by certificate", want: passes(byCertificate)},
		{name: "the owner, by DPoP", as: nobody, proof: proof("/orders"), want: passes(byProof)},
		{name: "no certificate", as: nobody, want: passes("401 invalid_token, 2 challenges")},
		{name: "another certificate", as: w.thief, want: passes("401 invalid_token, 2 challenges")},
		{
			name: "a proof for another path", as: nobody, proof: proof("/orders"), target: "/admin",
			want: passes("401 invalid_dpop_proof, 2 challenges"),
		},
		{
			name: "the same, and the forged report of it", as: nobody, proof: proof("/orders"), target: "/admin",
			header: reported(w.host(), "GET", "/orders"), want: "500",
		},
		{
			name: "a proof for another host, and the forged report of it", as: nobody, proof: proof("https://evil.example/orders"),
			header: reported("evil.example", "GET", "/orders"), want: "500",
		},
		{name: "the owner, with the forged report of another request", header: reported("evil.example", "DELETE", "/admin"), want: "500"},
		{name: "the owner, forged identity", header: forged("-"), want: "500"},
		{name: "the owner, forged URLs", header: http.Header{"X-Rewrite-URL": {"/admin"}}, want: "500"},
	} {
		got, err := w.outcome(r)
		if err != nil || got != r.want {
			t.Errorf("%s: got %s, %v, want %s", r.name, got, err, r.want)
		}
	}
}

// noncesSnippet is a configuration-snippet, which the controller refuses unless it is told otherwise.
const noncesSnippet = `		auth_request_set $popauth_nonce $upstream_http_dpop_nonce;
		add_header DPoP-Nonce $popauth_nonce always;
`

// A nonce is lost on its way through ingress-nginx, with a 401 and with a 200, but for a configuration-snippet. New reports the former,
// so this is told otherwise.
func TestIngressNginxNonces(t *testing.T) {
	for _, snippet := range []string{"", noncesSnippet} {
		w := opened(t, lanes[0], func(w *world) {
			headers := forwardauth.IngressNginx()
			headers.DropsNonces = false
			w.setup = setup{headers: headers, certificate: proxy.IngressNginx(),
				configuration: strings.Replace(ingressConf, "	location / {\n", "	location / {\n"+snippet, 1)}
		})
		ask := func() string {
			proof := func(base string) string {
				return w.key.Proof("GET", base+"/orders", w.dpop, popauthtest.Claims{"nonce": w.nonce})
			}
			got, err := w.outcome(request{as: &popauthtest.Client{}, proof: proof})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got, want := ask(), "401 use_dpop_nonce, 2 challenges"; got != want || (w.nonce != "") != (snippet != "") {
			t.Errorf("got %s, nonce %q, want %s, and one with the snippet alone", got, w.nonce, want)
		}
		if got := ask(); strings.HasPrefix(got, "200") != (snippet != "") {
			t.Errorf("with the nonce: got %s", got)
		}
	}
}

// A WebSocket passes with the caller's identity, whatever it lists in Connection, and a proof for its https URL does.
func TestIngressNginxWebSocket(t *testing.T) {
	w := opened(t, lanes[0], func(w *world) {
		w.nonceless = true
		w.setup = setup{configuration: ingressConf, headers: forwardauth.IngressNginx(), certificate: proxy.IngressNginx()}
	})
	for _, connection := range []string{"Upgrade", "Upgrade, X-Auth-Subject, X-Original-URL, ssl-client-cert"} {
		webSocket(t, w, request{}, connection, `issuer, "alice", "orders-batch", "orders.read", "x5t#S256"`)
		proof := func(base string) string { return w.key.Proof("GET", base+"/orders", w.dpop) }
		const want = `issuer, "alice", "orders-batch", "orders.read", "jkt"`
		webSocket(t, w, request{as: &popauthtest.Client{}, proof: proof}, connection, want)
	}
}

// webSocket asks for one, and compares what the API sees.
func webSocket(t *testing.T, w *world, r request, connection, want string) {
	t.Helper()
	r.header = http.Header{
		"Connection": {connection}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	before := len(w.upstream.seen)
	answer, err := w.send(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols || len(w.upstream.seen) != before+1 {
		t.Fatalf("Connection: %s: got %d, want 101", connection, answer.StatusCode)
	}
	if got := w.shown(w.upstream.seen[before]); got != want {
		t.Errorf("Connection: %s: the API sees %s, want %s", connection, got, want)
	}
}
