package main

import (
	"cmp"
	_ "embed"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

//go:embed testdata/ingress-nginx.conf
var ingressConf string

// ingressed writes the Ingress, and makes of it what ingress-nginx would.
func ingressed(t *testing.T, snippets bool, change func(yaml string) string) func(forwardauth.Site) (string, string, error) {
	return func(s forwardauth.Site) (string, string, error) {
		text, err := s.IngressNginx(forwardauth.Ingress{
			Namespace: "shop", Name: "orders", Host: "localhost", Certificate: "server", Clients: "clients-ca", API: "orders", Port: 80,
			Snippets: snippets,
		})
		if err != nil {
			return "", "", err
		}
		return rendered(t, change(text), s.API[0]), "", nil
	}
}

// rendered is what ingress-nginx writes for an Ingress, as far as it matters here.
func rendered(t *testing.T, text, api string) string {
	t.Helper()
	annotations, data, paths, snippet := map[string]string{}, map[string]string{}, []string{}, ""
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		name = strings.Trim(name, `"`)
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		annotation, annotated := strings.CutPrefix(name, "nginx.ingress.kubernetes.io/")
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "#"):
		case !strings.HasPrefix(line, "  "):
			section = strings.TrimSuffix(line, ":")
		case section == "data":
			data[name] = value
		case annotated:
			annotations[annotation] = value
		case strings.HasPrefix(line, "      ") && section == "metadata":
			snippet += line + "\n"
		case name == "- path":
			paths = append(paths, value)
		}
	}
	certificate := ""
	if annotations["auth-tls-pass-certificate-to-upstream"] == "true" {
		certificate = "proxy_set_header ssl-client-cert $ssl_client_escaped_cert;\n"
	}
	var question, location, locations strings.Builder
	for name, value := range data {
		fmt.Fprintf(&question, "proxy_set_header %q %q;\n", name, value)
	}
	location.WriteString("auth_request /_external-auth-orders;\nauth_request_set $auth_cookie $upstream_http_set_cookie;\n" +
		"add_header Set-Cookie $auth_cookie;\n")
	for i, name := range strings.Split(annotations["auth-response-headers"], ",") {
		fmt.Fprintf(&location, "auth_request_set $authHeader%d $upstream_http_%s;\nproxy_set_header '%s' $authHeader%d;\n", i,
			strings.ReplaceAll(strings.ToLower(name), "-", "_"), name, i)
	}
	connection := cmp.Or(annotations["connection-proxy-header"], "$connection_upgrade")
	location.WriteString("proxy_set_header Host $http_host;\nproxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection " +
		connection + ";\nproxy_set_header X-Forwarded-Host $http_host;\nproxy_set_header X-Forwarded-Proto $scheme;\n" +
		certificate + "proxy_set_header ssl-client-verify $ssl_client_verify;\nproxy_http_version 1.1;\n" + snippet +
		"proxy_pass http://" + api + ";\n")
	for _, path := range paths { // pathType: Prefix
		if path != "/" {
			fmt.Fprintf(&locations, "location = %s {\n%s}\n", path, location.String())
			path += "/"
		}
		fmt.Fprintf(&locations, "location %s {\n%s}\n", path, location.String())
	}
	return strings.NewReplacer("«verify»", annotations["auth-tls-verify-client"], "«depth»", annotations["auth-tls-verify-depth"],
		"«certificate»", certificate, "«question»", question.String(), "«url»", annotations["auth-url"], "«locations»", locations.String()).
		Replace(ingressConf)
}

func unchanged(text string) string { return text }

// ingress is the setup behind ingress-nginx.
func ingress(t *testing.T, w *world, snippets bool, change func(string) string) {
	headers := forwardauth.IngressNginx()
	headers.DropsNonces = w.nonceless // New refuses nonces that get lost; what becomes of them is shown here
	w.setup = setup{headers: headers, certificate: proxy.IngressNginx()}
	w.secret, w.write = `"secret" of 'an' Ingress; {} \`, ingressed(t, snippets, change)
}

// What a Site writes for ingress-nginx: it reports one absolute URL, and what else a client reports is removed or refused.
func TestIngressNginx(t *testing.T) {
	for _, snippets := range []bool{false, true} {
		t.Run(fmt.Sprint("snippets ", snippets), func(t *testing.T) {
			t.Parallel()
			askIngress(t, opened(t, lanes[0], func(w *world) {
				w.nonceless = true
				ingress(t, w, snippets, unchanged)
			}))
		})
	}
}

// Headers for another configuration refuse everybody: what ingress-nginx doesn't set is the caller's.
func TestIngressNginxOtherHeaders(t *testing.T) {
	w := opened(t, lanes[0], func(w *world) {
		w.nonceless = true
		ingress(t, w, false, unchanged)
		as := w.write
		w.setup.headers = forwardauth.Nginx()
		w.write = func(s forwardauth.Site) (string, string, error) {
			if _, _, err := as(s); err == nil || !strings.Contains(err.Error(), "another proxy") {
				t.Errorf("got %v, want an error of the Headers", err)
			}
			other, err := forwardauth.New(forwardauth.Options{
				Guard: popauth.Options{
					Issuer: "https://id.example.com", Audience: []string{audience}, Verifier: w.issuer.Options(audience).Verifier,
				},
				Headers: forwardauth.IngressNginx(), Proxy: trustedBy(t, w.secret),
			})
			if err != nil {
				t.Fatal(err)
			}
			s.Endpoint, s.Format = other, nil
			text, err := s.IngressNginx(forwardauth.Ingress{
				Namespace: "shop", Name: "orders", Host: "localhost", Certificate: "server", API: "orders", Port: 80,
			})
			text = strings.Replace(text, "  annotations:\n", "  annotations:\n    nginx.ingress.kubernetes.io/auth-tls-verify-client: "+
				"optional_no_ca\n    nginx.ingress.kubernetes.io/auth-tls-verify-depth: \"3\"\n"+
				"    nginx.ingress.kubernetes.io/auth-tls-pass-certificate-to-upstream: \"true\"\n", 1)
			return rendered(t, text, s.API[0]), "", err
		}
	})
	proof := func(base string) string { return w.key.Proof("GET", base+"/orders", w.dpop) }
	for _, r := range []request{
		{}, {as: &popauthtest.Client{}, proof: proof},
		{as: &popauthtest.Client{}, proof: proof, target: "/orders/2", header: reported(w.host(), "GET", "/orders")},
	} {
		if got, err := w.outcome(r); err != nil || got != "500" {
			t.Errorf("%+v: got %s, %v, want 500", r, got, err)
		}
	}
}

func trustedBy(t *testing.T, secret string) *proxy.TrustedPeer {
	t.Helper()
	peer, err := proxy.Trusted(proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", secret))
	if err != nil {
		t.Fatal(err)
	}
	return peer
}

// Without the annotation the service gets a certificate that the client names itself: the file must have it.
func TestIngressNginxWithoutPass(t *testing.T) {
	for _, with := range []bool{true, false} {
		w := opened(t, lanes[0], func(w *world) {
			w.nonceless = true
			ingress(t, w, false, func(text string) string {
				if with {
					return text
				}
				return strings.Replace(text, "auth-tls-pass-certificate-to-upstream", "x", 1)
			})
		})
		own := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.owner.Certificate.Certificate[0]})))
		got, err := w.outcome(request{
			as: w.authority.Client("thief"), header: http.Header{"Ssl-Client-Cert": {strings.ReplaceAll(own, "+", "%20")}},
		})
		if passes := strings.HasPrefix(got, "200"); err != nil || passes == with {
			t.Errorf("with the annotation %t: a thief got %s, %v", with, got, err)
		}
	}
}

func askIngress(t *testing.T, w *world) {
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
		{name: "the owner, by certificate", want: byCertificate},
		{name: "the owner, by DPoP", as: nobody, proof: proof("/orders"), want: byProof},
		{name: "no certificate", as: nobody, want: "401 invalid_token, 2 challenges"},
		{name: "another certificate", as: w.thief, want: "401 invalid_token, 2 challenges"},
		{name: "another certificate, and the forged report of the owner's", as: w.thief, header: w.certificate(),
			want: "401 invalid_token, 2 challenges"},
		{
			name: "a proof for another path", as: nobody, proof: proof("/orders"), target: "/orders/2",
			want: "401 invalid_dpop_proof, 2 challenges",
		},
		{
			name: "the same, and the forged report of it", as: nobody, proof: proof("/orders"), target: "/orders/2",
			header: reported(w.host(), "GET", "/orders"), want: "401 invalid_dpop_proof, 2 challenges",
		},
		{
			name: "a proof for another host, and the forged report of it", as: nobody, proof: proof("https://evil.example/orders"),
			header: reported("evil.example", "GET", "/orders"), want: "401 invalid_dpop_proof, 2 challenges",
		},
		{name: "the owner, forged identity", header: forged("-"), want: byCertificate},
		{name: "the owner, forged identity with `_`", header: forged("_"), want: byCertificate},
		{name: "the owner, another method", header: http.Header{"X-HTTP-Method-Override": {"DELETE"}}, want: "500"},
		{name: "the owner, forged URLs", header: http.Header{"X-Rewrite-URL": {"/admin"}}, want: "500"},
		{name: "a path without a route", target: "/admin", want: "404"},
		{name: "a path with two readings", target: "/orders/x%2fadmin", want: "500"},
	} {
		got, err := w.outcome(r)
		got, _, _ = strings.Cut(got, ", AND Ssl")
		if err != nil || got != r.want {
			t.Errorf("%s: got %s, %v, want %s", r.name, got, err, r.want)
		}
	}
}

// A connection is handed over for a WebSocket alone, and without snippets for nothing.
func TestIngressNginxUpgrades(t *testing.T) {
	for _, snippets := range []bool{false, true} {
		api := &lenient{}
		w := opened(t, lanes[0], func(w *world) {
			ingress(t, w, snippets, unchanged)
			w.api = api
		})
		for to, want := range map[string]bool{"h2c": false, "x": false, "websocket, h2c": false, "websocket": snippets} {
			answer, err := w.send(request{header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {to}}})
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if got := answer.StatusCode == http.StatusSwitchingProtocols; got != want {
				t.Errorf("snippets %t, %s: got %d, want it handed over: %t", snippets, to, answer.StatusCode, want)
			}
		}
	}
}

// A nonce is lost on its way through ingress-nginx, but for a snippet.
func TestIngressNginxNonces(t *testing.T) {
	for _, snippets := range []bool{false, true} {
		w := opened(t, lanes[0], func(w *world) { ingress(t, w, snippets, unchanged) })
		proof := func(base string) string { return w.key.Proof("GET", base+"/orders", w.dpop) }
		got, err := w.outcome(request{as: &popauthtest.Client{}, proof: proof})
		if want := "401 use_dpop_nonce, 2 challenges"; err != nil || got != want || (w.nonce != "") != snippets {
			t.Errorf("snippets %t: got %s, %v, nonce %q, want %s", snippets, got, err, w.nonce, want)
		}
	}
}

// A WebSocket passes with the caller's identity, whatever it lists in Connection, and a proof for its https URL does.
func TestIngressNginxWebSocket(t *testing.T) {
	w := opened(t, lanes[0], func(w *world) {
		w.nonceless = true
		ingress(t, w, true, unchanged)
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
	got, _, _ := strings.Cut(w.shown(w.upstream.seen[before]), ", AND Ssl")
	if got != want {
		t.Errorf("Connection: %s: the API sees %s, want %s", connection, got, want)
	}
}
