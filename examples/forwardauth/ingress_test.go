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
			name: "a proof for another path", as: nobody, proof: proof("/orders"), target: "/orders/2",
			want: passes("401 invalid_dpop_proof, 2 challenges"),
		},
		{
			name: "a path without a route", as: nobody, proof: proof("/admin"), target: "/admin", want: passes("403"),
		},
		{
			name: "a proof for another path, and the forged report of it", as: nobody, proof: proof("/orders"), target: "/admin",
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

// A nonce is lost on its way through ingress-nginx: docs/forwardauth.md says to do without.
func TestIngressNginxNonces(t *testing.T) {
	w := opened(t, lanes[0], func(w *world) {
		w.setup = setup{configuration: ingressConf, headers: forwardauth.IngressNginx(), certificate: proxy.IngressNginx()}
	})
	proof := func(base string) string { return w.key.Proof("GET", base+"/orders", w.dpop) }
	got, err := w.outcome(request{as: &popauthtest.Client{}, proof: proof})
	if want := "401 use_dpop_nonce, 2 challenges"; err != nil || got != want || w.nonce != "" {
		t.Errorf("got %s, %v, nonce %q, want %s without one", got, err, w.nonce, want)
	}
}
