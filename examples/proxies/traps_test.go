package proxies_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A trap is a shipped configuration with the mistake that it invites: what an attacker can do, or the owner can't, and what
// popauth makes of it.
type trap struct {
	proxy, mistake string
	old, new       string // what is changed in the file
	without        string // lines with it are left out
	insecure       bool   // Traefik's entry point believes every sender, as behind a load balancer
	request        string
	as             *popauthtest.Client
	fields         func(*lane) []field
	want           string
}

func traps(c *cast) []trap {
	return []trap{
		{
			proxy: "nginx", mistake: "a location with a `proxy_set_header` of its own",
			old: "	location / {",
			new: "	proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;\n	proxy_set_header X-SSL-Client-Verify " +
				"$ssl_client_verify;\n" +
				"	proxy_set_header X-Proxy-Secret " + secret2 +
				";\n	location /orders { proxy_set_header X-Request-Id 1; proxy_pass http://popauth_api; }\n	location / {",
			request: "no certificate, forged headers", fields: (*lane).forged, want: "400",
		},
		{
			proxy: "apache", mistake: "no `RequestHeader unset Connection`",
			old:     "RequestHeader unset Connection",
			request: "the owner, `Connection:` names the verdict", as: c.owner,
			fields: func(*lane) []field { return listed(nil, "X-SSL-Client-Verify") }, want: "400",
		},
		{
			proxy: "apache", mistake: "the same",
			old:     "RequestHeader unset Connection",
			request: "the owner, `Connection:` names the certificate", as: c.owner,
			fields: func(*lane) []field { return listed(nil, "X-SSL-Client-Cert") }, want: "400",
		},
		{
			proxy: "haproxy", mistake: "`add-header` for `set-header`, and no `del-header`",
			without: "del-header ^x[^a-z0-9]ssl", old: "set-header X-Ssl", new: "add-header X-Ssl",
			request: "another certificate, forged headers", as: c.thief, fields: (*lane).forged, want: "400",
		},
		{
			proxy: "haproxy-rfc9440", mistake: "no condition",
			old:     " if { ssl_c_used }",
			request: "no certificate", want: "400",
		},
		{
			proxy: "haproxy-rfc9440", mistake: "no `del-header`: **popauth can't tell**",
			old: "http-request del-header ^client", new: "# client",
			request: "no certificate, forged headers", fields: (*lane).forged, want: "200",
		},
		{
			proxy: "caddy", mistake: "`header_up -X` beside `header_up X`",
			old: "header_up X-Ssl", new: "header_up -X-Ssl-Client-Cert\n		header_up X-Ssl",
			request: "the owner", as: c.owner, want: "401",
		},
		{
			proxy: "traefik", mistake: "`forwardedHeaders.insecure` on the entry point, as behind a load balancer", insecure: true,
			request: "no certificate, forged headers", fields: (*lane).forged, want: "401",
		},
		{
			proxy: "traefik", mistake: "the same, and a router without `replace`", insecure: true,
			old: "[replace, certificate]", new: "[certificate]",
			request: "no certificate, forged headers", fields: (*lane).forged, want: "400",
		},
		{
			proxy: "traefik", mistake: "the same, and `replace` without the certificate's name: **popauth can't tell**", insecure: true,
			old:     `          "X-Forwarded-Tls-Client-Cert": ""` + "\n",
			request: "no certificate, forged headers", fields: (*lane).forged, want: "200",
		},
		{
			proxy: "traefik", mistake: "`info` for `pem`",
			old: "pem: true", new: "info: { subject: { commonName: true } }",
			request: "the owner", as: c.owner, want: "400",
		},
		{
			proxy: "traefik", mistake: "`tls.options` by another name than `default`",
			old: "    default:\n      # Every", new: "    clients:\n      # Every",
			request: "the owner", as: c.owner, want: "401",
		},
		{
			proxy: "envoy", mistake: "`APPEND_FORWARD`",
			old: "cert_details: SANITIZE_SET", new: "cert_details: APPEND_FORWARD",
			request: "another certificate, forged headers", as: c.thief, fields: (*lane).forged, want: "400",
		},
		{
			proxy: "envoy", mistake: "`FORWARD_ONLY`: **popauth can't tell**",
			old: "cert_details: SANITIZE_SET", new: "cert_details: FORWARD_ONLY",
			request: "another certificate, forged headers", as: c.thief, fields: (*lane).forged, want: "200",
		},
		{
			proxy: "envoy", mistake: "details without `cert`",
			old: "{ cert: true, chain: true }", new: "{ subject: true, uri: true }",
			request: "the owner", as: c.owner, want: "400",
		},
		{
			proxy: "envoy", mistake: "the secret without `append_action`, and not removed",
			without: "x[^a-z0-9]proxy", old: "\n              append_action: OVERWRITE_IF_EXISTS_OR_ADD",
			request: "the owner, forged headers", as: c.owner, fields: (*lane).forged, want: "400",
		},
		{
			proxy: "envoy", mistake: "no `validation_context`",
			old:     "validation_context: { trust_chain_verification: ACCEPT_UNTRUSTED }",
			request: "the owner", as: c.owner, want: "401",
		},
	}
}

func TestTraps(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	table := [][]string{{"proxy", "mistake", "request", "answer"}}
	for _, tt := range traps(c) {
		k := kindOf(tt.proxy)
		text := file(k)
		if !strings.Contains(text, tt.old) {
			t.Fatalf("%s: no %q", k.name, tt.old)
		}
		if tt.old != "" {
			text = strings.ReplaceAll(text, tt.old, tt.new)
		}
		if tt.without != "" {
			lines := slices.Collect(strings.Lines(text))
			text = strings.Join(slices.DeleteFunc(lines, func(s string) bool { return strings.Contains(s, tt.without) }), "")
		}
		if tt.insecure {
			k.static = insecure()
		}
		l := newLane(t, c, k, text)
		fields := []field{{"Authorization", "Bearer " + c.token(c.owner)}}
		if tt.fields != nil {
			fields = append(tt.fields(l), fields...)
		}
		got, _ := l.ask(ways[1], tt.as, fields)
		if got != tt.want {
			t.Errorf("%s, %s: got %s, want %s", tt.proxy, tt.mistake, got, tt.want)
		}
		table = append(table, []string{tt.proxy, tt.mistake, tt.request, got})
	}
	document(t, "traps", table)
}

// insecure is Traefik's static configuration where every sender's X-Forwarded-… are believed.
func insecure() string {
	text := proxies.Configuration("traefik-static.yaml")
	return strings.Replace(text, "    http:\n", "    forwardedHeaders: { insecure: true }\n    http:\n", 1)
}

func kindOf(name string) kind {
	return kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })]
}

const secret2 = `"` + secret + `"`

func file(k kind) string {
	name := map[string]string{
		"nginx": "nginx.conf", "apache": "apache.conf", "haproxy": "haproxy.cfg", "haproxy-rfc9440": "haproxy-rfc9440.cfg",
		"caddy":   "Caddyfile",
		"traefik": "traefik.yaml", "envoy": "envoy.yaml",
	}[k.proxy]
	return proxies.Configuration(name)
}
