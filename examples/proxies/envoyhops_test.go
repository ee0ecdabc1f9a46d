package proxies_test

import (
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Istio's default: a gateway that ends the caller's TLS, and a sidecar that appends an element for the gateway. Two real
// Envoys, with mutual TLS between them.
func TestEnvoyHops(t *testing.T) {
	need(t)
	const prefix = "spiffe://cluster.local/ns/default/sa/"
	const set, details = "forward_client_cert_details: SANITIZE_SET", "set_current_client_cert_details: { cert: true, chain: true }"
	const demanded = "require_client_certificate: true"
	const istios = "{ subject: true, dns: true, uri: true"
	c := newCast(t)
	mesh := popauthtest.NewCA(t)
	named := func(name string) *popauthtest.Client {
		return mesh.Client(name, func(x *x509.Certificate) {
			u, err := url.Parse(prefix + name)
			if err != nil {
				t.Fatal(err)
			}
			x.URIs = []*url.URL{u}
		})
	}
	gateway, workload := named("gateway"), named("batch")

	for _, tt := range []struct {
		name                                 string
		hop                                  string
		gatewayMode, sidecarMode, sidecarSet string
		owner, none                          string
	}{
		{name: "Istio's default", hop: "gateway", gatewayMode: "SANITIZE_SET", sidecarMode: "APPEND_FORWARD", sidecarSet: istios + " }",
			owner: "200", none: "401"},
		{name: "the wrong name", hop: "ingress", gatewayMode: "SANITIZE_SET", sidecarMode: "APPEND_FORWARD", sidecarSet: istios + " }",
			owner: "403", none: "403"},
		{name: "the sidecar sends no URI", hop: "gateway", gatewayMode: "SANITIZE_SET", sidecarMode: "APPEND_FORWARD",
			sidecarSet: "{ subject: true }", owner: "403", none: "403"},
		{name: "the sidecar replaces", hop: "gateway", gatewayMode: "SANITIZE_SET", sidecarMode: "SANITIZE_SET",
			sidecarSet: istios + ", cert: true }", owner: "401", none: "401"},
		{name: "the sidecar removes", hop: "gateway", gatewayMode: "SANITIZE_SET", sidecarMode: "SANITIZE",
			sidecarSet: istios + " }", owner: "403", none: "403"},
		{name: "the gateway removes", hop: "gateway", gatewayMode: "SANITIZE", sidecarMode: "APPEND_FORWARD",
			sidecarSet: istios + " }", owner: "401", none: "401"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := kindOf("envoy")
			k.format = proxy.Envoy().WithHops(prefix + tt.hop)
			text := strings.NewReplacer(
				set, "forward_client_cert_details: "+tt.sidecarMode,
				details, "set_current_client_cert_details: "+tt.sidecarSet,
				"require_client_certificate: false", demanded,
				"{ trust_chain_verification: ACCEPT_UNTRUSTED }", `{ trusted_ca: { filename: "${CERTS}/clients-ca.crt" } }`,
			).Replace(file(k))
			own := *c
			own.clients = mesh.PEM()
			l := newLane(t, &own, k, text)
			sidecar := l.front
			if !strings.Contains(text, tt.sidecarMode) || !strings.Contains(text, demanded) {
				t.Fatal("envoy.yaml has other lines than this test replaces")
			}

			outer := &lane{cast: c, kind: k, spy: l.spy, api: l.api}
			outer.start(t, sidecar.Address, gatewayOf(t, k, gateway, sidecar.Address, "forward_client_cert_details: "+tt.gatewayMode))

			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			owners := escaped(c.owner.Certificate.Certificate[0])
			forged := l.lines(c.owner.Certificate.Certificate[0])
			whole := field{forged[0].name, forged[0].value + ",By=" + prefix + "orders;" + strings.SplitN(forged[0].value, ";", 2)[0] +
				`;Subject="";URI=` + prefix + "gateway"}
			for _, r := range []struct {
				name   string
				at     *lane
				as     *popauthtest.Client
				fields []field
				want   string
			}{
				{name: "the owner", at: outer, as: c.owner, fields: []field{token}, want: tt.owner},
				{name: "the owner, forged", at: outer, as: c.owner, fields: []field{token, forged[0]}, want: tt.owner},
				{name: "no certificate", at: outer, fields: []field{token}, want: tt.none},
				{name: "no certificate, forged", at: outer, fields: []field{token, forged[0]}, want: tt.none},
				{name: "no certificate, all forged", at: outer, fields: []field{token, whole}, want: tt.none},
				{name: "the thief, forged", at: outer, as: c.thief, fields: []field{token, forged[0]}, want: tt.none},
				{name: "the thief, all forged", at: outer, as: c.thief, fields: []field{token, whole}, want: tt.none},
			} {
				if got, _ := r.at.ask(ways[1], r.as, r.fields); got != r.want {
					t.Errorf("%s: got %s, want %s", r.name, got, r.want)
				}
			}
			for name, fields := range map[string][]field{
				"alone": {token}, "with the owner's element": {token, forged[0]}, "with everything": {token, whole},
				"with a certificate alone": {token, {"X-Client-Cert", owners}},
			} {
				if got, _ := l.ask(ways[1], workload, fields); got != "403" {
					t.Errorf("a workload past the gateway, %s: got %s, want 403", name, got)
				}
			}
		})
	}
}

// gatewayOf is envoy.yaml with mutual TLS to what is behind it, and Istio's details.
func gatewayOf(t *testing.T, k kind, as *popauthtest.Client, address, mode string) string {
	t.Helper()
	certificate, key, err := as.WritePEM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		"forward_client_cert_details: SANITIZE_SET", mode,
		"{ cert: true, chain: true }", "{ subject: true, cert: true, dns: true, uri: true }",
		"    connect_timeout: 5s\n", `    connect_timeout: 5s
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_certificates: [ { certificate_chain: { filename: "`+certificate+`" }, private_key: { filename: "`+key+`" } } ]
`).Replace(file(k))
}
