package proxies_test

import (
	"net"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Envoy leaves the client's own header in place where the value that it would set is empty, unless it is told otherwise.
// CustomHeaders.Always shows that at the first request without a certificate.
func TestEnvoyPeerCertificate(t *testing.T) {
	need(t)
	c := newCast(t)
	const set, details = "forward_client_cert_details: SANITIZE_SET", "set_current_client_cert_details: { cert: true, chain: true }"
	const secretLine = `            - header: { key: "X-Proxy-Secret"`
	const certLine = `            - header: { key: X-Client-Cert, value: "%DOWNSTREAM_PEER_CERT%" }` +
		"\n              append_action: OVERWRITE_IF_EXISTS_OR_ADD\n"
	for _, tt := range []struct {
		name         string
		keep         string
		always       bool
		none, forged string
	}{
		{name: "as it is", none: "401", forged: "200"}, // popauth can't tell
		{name: "as it is, for a format that is always there", always: true, none: "400", forged: "200"},
		{name: "with keep_empty_value", keep: "              keep_empty_value: true\n", always: true, none: "401", forged: "401"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := kindOf("envoy")
			k.format = proxy.Custom(proxy.CustomHeaders{Certificate: "X-Client-Cert", Encoding: proxy.PEMPercent, Always: tt.always})
			text := strings.NewReplacer(set, "forward_client_cert_details: SANITIZE", details, "", secretLine, certLine+tt.keep+secretLine).
				Replace(file(k))
			if !strings.Contains(text, certLine) {
				t.Fatal("envoy.yaml has other lines than this test replaces")
			}
			l := newLane(t, c, k, text)
			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			forged := field{"X-Client-Cert", escaped(c.owner.Certificate.Certificate[0])}
			for _, r := range []struct {
				name   string
				as     *popauthtest.Client
				fields []field
				want   string
			}{
				{"the owner", c.owner, []field{token}, "200"},
				{"the owner, forged", c.owner, []field{token, forged}, "200"},
				{"no certificate", nil, []field{token}, tt.none},
				{"no certificate, forged", nil, []field{token, forged}, tt.forged},
				{"another certificate, forged", c.thief, []field{token, forged}, "401"},
			} {
				if got, _ := l.ask(ways[1], r.as, r.fields); got != r.want {
					t.Errorf("%s: got %s, want %s", r.name, got, r.want)
				}
			}
		})
	}
}

// What is right where the caller's TLS ends makes the gateway every caller on a hop behind it: with the gateway's own
// certificate, which everybody who comes through it has then. popauth can't tell; envoy.yaml and the page say so.
func TestEnvoyBehindGateway(t *testing.T) {
	need(t)
	c := newCast(t)
	k := kindOf("envoy")
	gateway := c.authority.Client("gateway")
	l := newLane(t, c, k, "")
	sidecar := l.front.Address

	dir := t.TempDir()
	certificate, key, err := gateway.WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(file(k), "    connect_timeout: 5s\n", `    connect_timeout: 5s
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_certificates: [ { certificate_chain: { filename: "`+certificate+`" }, private_key: { filename: "`+key+`" } } ]
`, 1)
	l.start(t, "127.0.0.1:"+port, text)
	for _, tt := range []struct {
		name string
		as   *popauthtest.Client
		of   *popauthtest.Client
		want string
	}{
		{name: "the owner", as: c.owner, of: c.owner, want: "401"},
		{name: "no certificate, a token that is bound to the gateway's", of: gateway, want: "200"},
	} {
		token := field{"Authorization", "Bearer " + c.token(tt.of)}
		if got, _ := l.ask(ways[1], tt.as, []field{token}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
