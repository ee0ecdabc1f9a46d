package proxies_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const (
	meshPrefix    = "spiffe://cluster.local/ns/default/sa/"
	istiosDetails = "{ subject: true, dns: true, uri: true"
)

// hops are a gateway that ends the caller's TLS, the lane, and a sidecar behind it, which workloads of the mesh can reach, too.
type hops struct {
	*lane
	sidecar  *lane
	workload *popauthtest.Client // of the mesh, but not its gateway
}

func newHops(t *testing.T, c *cast, hop, gatewayMode, sidecarMode, sidecarSet string) *hops {
	t.Helper()
	const set, details = "forward_client_cert_details: SANITIZE_SET", "set_current_client_cert_details: { cert: true, chain: true }"
	const demanded = "require_client_certificate: true"
	mesh := popauthtest.NewCA(t)
	named := func(name string) *popauthtest.Client {
		return mesh.Client(name, func(x *x509.Certificate) {
			u, err := url.Parse(meshPrefix + name)
			if err != nil {
				t.Fatal(err)
			}
			x.URIs = []*url.URL{u}
		})
	}
	k := kindOf("envoy")
	k.format = proxy.Envoy().WithHops(meshPrefix + hop)
	text := strings.NewReplacer(
		set, "forward_client_cert_details: "+sidecarMode,
		details, "set_current_client_cert_details: "+sidecarSet,
		"require_client_certificate: false", demanded,
		"{ trust_chain_verification: ACCEPT_UNTRUSTED }", `{ trusted_ca: { filename: "${CERTS}/clients-ca.crt" } }`,
	).Replace(file(k))
	if !strings.Contains(text, sidecarMode) || !strings.Contains(text, demanded) {
		t.Fatal("envoy.yaml has other lines than this test replaces")
	}
	own := *c
	own.clients = mesh.PEM()
	h := &hops{sidecar: newLane(t, &own, k, text), workload: named("batch")}
	h.lane = &lane{cast: c, kind: k, spy: h.sidecar.spy, api: h.sidecar.api}
	address := h.sidecar.front.Address
	h.start(t, address, gatewayOf(t, k, named("gateway"), address, "forward_client_cert_details: "+gatewayMode))
	return h
}

// Istio's default: a gateway that ends the caller's TLS, and a sidecar that appends an element for the gateway. Two real
// Envoys, with mutual TLS between them.
func TestEnvoyHops(t *testing.T) {
	need(t)
	const istios, prefix = istiosDetails, meshPrefix
	c := newCast(t)
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
			outer := newHops(t, c, tt.hop, tt.gatewayMode, tt.sidecarMode, tt.sidecarSet)
			l, workload := outer.sidecar, outer.workload

			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			owners := escaped(c.owner.Certificate.Certificate[0])
			forged := l.lines(c.owner.Certificate.Certificate[0])
			whole := field{forged[0].name, forged[0].value + ",By=" + prefix + "orders;" + strings.SplitN(forged[0].value, ";", 2)[0] +
				`;Subject="";URI=` + prefix + "gateway"}
			for _, r := range []struct {
				name   string
				at     *hops
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

// Envoy writes the URIs and DNS names of a certificate into its header as they are. Whatever a thief has in them, it makes no element,
// no certificate and no hop of the header: the owner's token doesn't pass, and the thief's own does or is refused.
func TestEnvoyHopsNames(t *testing.T) {
	need(t)
	c := newCast(t)
	front := newHops(t, c, "gateway", "SANITIZE_SET", "APPEND_FORWARD", istiosDetails+" }")
	der := c.owner.Certificate.Certificate[0]
	owners := fmt.Sprintf(`Hash=%x;Cert="%s"`, sha256.Sum256(der), escaped(der))
	hop := "By=" + meshPrefix + "orders;Hash=00;Subject=\"\";URI=" + meshPrefix + "gateway"
	names := []string{
		"x," + owners, "x;" + owners, "x," + owners + "," + hop, "x," + owners + ",URI=" + meshPrefix + "gateway", "x,",
		"x;", `x"`, `x",` + owners, "x;Hash=00", "x;URI=" + meshPrefix + "gateway", `x";` + owners + `;Subject="`,
		"x\r\nX-Forwarded-Client-Cert: " + owners, `\`, `\",` + owners,
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		name := ""
		for range 1 + r.IntN(4) {
			name += []string{owners, hop, ",", ";", `"`, `\`, "x", "=", " ", "Cert=", "URI=", meshPrefix + "gateway"}[r.IntN(12)]
		}
		names = append(names, name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	defer func() { t.Log(counts) }()
	for i, name := range names {
		thief := namedBy(t, key, name, i)
		own, stolen := front.pair(ways[1], thief, c.token(thief), c.token(c.owner))
		counts[own+", "+stolen]++
		refused := slices.Contains([]string{"400", "401", "403", "503", "closed"}, stolen)
		if !refused || strings.Contains(own, "HANDLER") {
			t.Errorf("VULNERABLE: %q: got %s with the owner's token, %s with its own", name, stolen, own)
		}
	}
}

// namedBy is a caller with a name that Go can't parse maybe: a URI or a DNS name, and in some the organization, too.
func namedBy(t *testing.T, key *ecdsa.PrivateKey, name string, i int) *popauthtest.Client {
	t.Helper()
	san := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(name)}
	if i%2 == 1 {
		san.Tag = 2
	}
	list, err := asn1.Marshal([]asn1.RawValue{san})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(i) + 1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: list}},
	}
	if i%4 > 1 {
		template.Subject.Organization = []string{name}
	}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
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
