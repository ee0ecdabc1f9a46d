package proxies_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// ingressController is what ingress-nginx v1.15.0 makes nginx.conf of: an Ingress, and two ConfigMaps. Its template is
// rootfs/etc/nginx/template/nginx.tmpl of https://github.com/kubernetes/ingress-nginx. Its balancer, which is written in Lua, is left
// out.
type ingressController struct{ annotations, config, headers map[string]any }

func newIngressController(t *testing.T, text string) *ingressController {
	t.Helper()
	documents, err := lab.YAML(text)
	if err != nil || len(documents) != 3 {
		t.Fatal(err, len(documents))
	}
	part := func(i int, path ...string) map[string]any {
		m := documents[i].(map[string]any)
		for _, name := range path {
			m = m[name].(map[string]any)
		}
		return m
	}
	return &ingressController{part(2, "metadata", "annotations"), part(1, "data"), part(0, "data")}
}

// annotation is the value of one, or what the controller takes without.
func (c *ingressController) annotation(name, otherwise string) string {
	if value, ok := c.annotations["nginx.ingress.kubernetes.io/"+name]; ok {
		return value.(string)
	}
	return otherwise
}

// conf renders the server of the Ingress, and that of another Ingress, for another host, which has no annotations and the same backend.
func (c *ingressController) conf() string {
	switched := func(key, otherwise string) string {
		if value, ok := c.config[key]; ok {
			otherwise = map[string]string{"true": "on", "false": "off"}[value.(string)]
		}
		return otherwise
	}
	certificate, asks := "", ""
	if c.annotation("auth-tls-secret", "") != "" {
		asks = fmt.Sprintf("\tssl_client_certificate ${CERTS}/clients-ca.crt;\n\tssl_verify_client %s;\n\tssl_verify_depth %s;\n",
			c.annotation("auth-tls-verify-client", "on"), c.annotation("auth-tls-verify-depth", "1"))
		if c.annotation("auth-tls-pass-certificate-to-upstream", "false") == "true" {
			certificate = "\t\tproxy_set_header ssl-client-cert        $ssl_client_escaped_cert;\n"
		}
		certificate += "\t\tproxy_set_header ssl-client-verify      $ssl_client_verify;\n" +
			"\t\tproxy_set_header ssl-client-subject-dn  $ssl_client_s_dn;\n\t\tproxy_set_header ssl-client-issuer-dn   $ssl_client_i_dn;\n"
	}
	custom := ""
	if c.config["proxy-set-headers"] != nil {
		for _, name := range slices.Sorted(maps.Keys(c.headers)) {
			custom += fmt.Sprintf("\t\tproxy_set_header %s %q;\n", name, c.headers[name])
		}
	}
	server := func(name, asks, certificate string) string {
		return fmt.Sprintf(`server {
	listen ${LISTEN} ssl http2;
	server_name %s;
	ssl_certificate ${CERTS}/server.crt;
	ssl_certificate_key ${CERTS}/server.key;
	ssl_session_cache shared:SSL:10m;
	ssl_session_tickets off;
%s	location / {
		proxy_set_header Host $http_host;
%s		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
		proxy_set_header X-Request-ID $request_id;
		proxy_set_header X-Real-IP $remote_addr;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Host $http_host;
		proxy_set_header X-Forwarded-Port $server_port;
		proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header X-Forwarded-Scheme $scheme;
		proxy_set_header X-Scheme $scheme;
		proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
		proxy_set_header Proxy "";
%s		proxy_buffering off;
		proxy_http_version %s;
		proxy_next_upstream %s;
		proxy_next_upstream_tries 3;
		proxy_pass http://upstream_balancer;
	}
}
`, name, asks, certificate, custom, c.annotation("proxy-http-version", "1.1"), c.annotation("proxy-next-upstream", "error timeout"))
	}
	return fmt.Sprintf(`map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
upstream upstream_balancer { server ${API}; keepalive 320; }
ssl_protocols TLSv1.2 TLSv1.3;
underscores_in_headers %s;
ignore_invalid_headers %s;
`, switched("enable-underscores-in-headers", "off"), switched("ignore-invalid-headers", "on")) +
		server("localhost", asks, certificate) + server("other.example", "", "")
}

// elsewhere asks for the other host, of the Ingress without annotations.
func (l *lane) elsewhere(t *testing.T, as *popauthtest.Client, fields []field) string {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // the certificate says localhost
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.front.Address)
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://other.example/orders", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		r.Header[f.name] = []string{f.value}
	}
	before := l.spy.Ran()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return l.judge(reply{status: answer.StatusCode}, nil, before)
}

// ingressLane is an API, and nginx in front as ingress-nginx would have it.
func ingressLane(t *testing.T, c *cast, hidden string, change func(*ingressController)) *lane {
	t.Helper()
	k := kinds[0]
	k.format, k.names = proxy.IngressNginx(), []string{"ssl-client-cert", "ssl-client-verify"}
	text, err := proxy.Site{
		Format: k.format, SecretHeader: "X-Proxy-Secret", Secret: hidden,
		Cluster: proxy.Cluster{Host: "api.example.com", Namespace: "shop", Service: "orders:80", Certificate: "api-tls", Clients: "ca"},
	}.IngressNginx()
	if err != nil {
		t.Fatal(err)
	}
	controller := newIngressController(t, text)
	if change != nil {
		change(controller)
	}
	l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", hidden))
	l.start(t, l.api.Listener.Addr().String(), controller.conf())
	return l
}

// What an Ingress and its ConfigMaps come to in nginx: the owner passes, a thief and a forger don't, by whichever host they come.
func TestWrittenIngressNginx(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	const pass, verify = "auth-tls-pass-certificate-to-upstream", "auth-tls-verify-client"
	without := func(name string) func(*ingressController) {
		return func(i *ingressController) { delete(i.annotations, "nginx.ingress.kubernetes.io/"+name) }
	}
	for _, tt := range []struct {
		name                                string
		change                              func(*ingressController)
		owner, selfSigned, thief, elsewhere string // the last: no certificate, forged, by the other host
		none                                string // no certificate, forged; if not 401
	}{
		{name: "as it is", owner: "200 verified", selfSigned: "200", thief: "401", elsewhere: "401"},
		{name: "no " + pass, change: without(pass), owner: "400", selfSigned: "400", thief: "400", elsewhere: "401"},
		{name: "no " + verify, change: without(verify), owner: "200 verified", selfSigned: "400", thief: "401", elsewhere: "401",
			none: "400"},
		{name: "no auth-tls-secret", change: without("auth-tls-secret"), owner: "401", selfSigned: "401", thief: "401", elsewhere: "401"},
		{name: "no proxy-set-headers", change: func(i *ingressController) { delete(i.config, "proxy-set-headers") },
			owner: "400", selfSigned: "400", thief: "400", elsewhere: "400", none: "400"},
		// What the empty values are for. popauth can't tell: the secret is there, and the lines are of the form.
		{name: "no empty values", change: func(i *ingressController) {
			maps.DeleteFunc(i.headers, func(_ string, value any) bool { return value == "" })
		}, owner: "200 verified", selfSigned: "200", thief: "401", elsewhere: "200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hidden := strings.ReplaceAll(oddText(rand.New(rand.NewPCG(uint64(len(tt.name)), 3))), "$", "-")
			l := ingressLane(t, c, hidden, tt.change)
			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			plain := []field{{"ssl-client-cert", escaped(c.owner.Certificate.Certificate[0])}, {"ssl-client-verify", "SUCCESS"},
				{"X-Proxy-Secret", guessed}}
			for _, spelled := range []func(string) string{
				func(s string) string { return s }, oddCase, hyphensTo("_"), hyphensTo("."), hyphensTo("~"),
			} {
				forged := append(respelled(plain, spelled), token)
				if got, _ := l.ask(ways[1], c.thief, forged); got != tt.thief {
					t.Errorf("another certificate, %q: got %s, want %s", forged[0].name, got, tt.thief)
				}
				if got, _ := l.ask(ways[1], nil, forged); got != cmp.Or(tt.none, "401") {
					t.Errorf("no certificate, %q: got %s, want %s", forged[0].name, got, cmp.Or(tt.none, "401"))
				}
				if got, _ := l.ask(ways[1], c.owner, forged); got != tt.owner {
					t.Errorf("the owner, %q: got %s, want %s", forged[0].name, got, tt.owner)
				}
			}
			for name, r := range map[string]struct {
				as   *popauthtest.Client
				want string
			}{"the owner": {c.owner, tt.owner}, "self-signed": {c.selfSigned, tt.selfSigned}, "another": {c.thief, tt.thief}} {
				token := field{"authorization", token.value}
				if r.as == c.selfSigned {
					token.value = "Bearer " + c.token(c.selfSigned)
				}
				for _, w := range []way{ways[1], ways[3]} {
					if got, _ := l.ask(w, r.as, []field{token}); got != r.want {
						t.Errorf("%s, %s: got %s, want %s", name, w.alpn, got, r.want)
					}
				}
			}
			if got := l.elsewhere(t, nil, append(slices.Clone(plain[:2]), token)); got != tt.elsewhere {
				t.Errorf("another host, forged: got %s, want %s", got, tt.elsewhere)
			}
			if _, ok := l.seen.Load().(string); ok && tt.name != "no empty values" && tt.name != "no proxy-set-headers" {
				t.Errorf("a handler saw %s", l.seen.Load())
			}
		})
	}
}

// No header that names another method or path reaches the API, under any spelling, and nothing of what the proxy sets is doubled.
func TestIngressNginxSpellings(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	r := newRecorder(t)
	text, err := proxy.Site{
		Format: proxy.IngressNginx(), SecretHeader: "X-Proxy-Secret", Secret: secret,
		Cluster: proxy.Cluster{Host: "api.example.com", Namespace: "shop", Service: "orders:80", Certificate: "api-tls", Clients: "ca"},
	}.IngressNginx()
	if err != nil {
		t.Fatal(err)
	}
	front, err := proxies.Start("nginx", proxies.Settings{
		API: r.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(), Clients: c.clients,
		Configuration: newIngressController(t, text).conf(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Stop)
	usual, _ := r.arrived(t, c, front.Address, "http/1.1", nil, nil)
	for _, name := range []string{"X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "ssl-client-cert", "ssl-client-issuer-dn"} {
		for _, character := range separators {
			forged := []field{{strings.ReplaceAll(name, "-", string(character)), "x"}}
			if names, status := r.arrived(t, c, front.Address, "http/1.1", forged, usual); status != 200 || len(names) > 0 {
				t.Errorf("%s: got %d, the API sees %q", forged[0].name, status, names)
			}
		}
	}
}
