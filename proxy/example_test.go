package proxy_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/seed-171ab058/popauth/proxy"
)

// sent stands for the header value of a request that came from the proxy.
func sent(name string) string {
	b, err := os.ReadFile("testdata/values/" + name + ".txt")
	if err != nil {
		panic(err)
	}
	return string(b)
}

func show(p proxy.Presented, err error) {
	switch {
	case err != nil:
		fmt.Println(err)
	case p.Leaf == nil:
		fmt.Println("no certificate")
	default:
		fmt.Println("certificate,", len(p.Chain), "more, verified:", p.Verified)
	}
}

func Example() {
	format := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")

	h := http.Header{}
	h.Set("X-SSL-Client-Cert", sent("nginx-escaped_cert"))
	h.Set("X-SSL-Client-Verify", "SUCCESS")

	presented, err := format.Decode(h)
	if err != nil {
		fmt.Println(err)
		return
	}
	leaf, err := x509.ParseCertificate(presented.Leaf)
	if err != nil {
		fmt.Println(err)
		return
	}
	thumbprint := sha256.Sum256(presented.Leaf)
	fmt.Println(leaf.DNSNames, base64.RawURLEncoding.EncodeToString(thumbprint[:]))
	// Output: [client.lab] M1QW-KEQN-hePtJJVxyPvEhfkS_RjEhO-wlIqQU5V9g
}

func ExampleFormat_Decode() {
	format := proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify")
	cert := sent("nginx-escaped_cert")

	show(format.Decode(header("X-SSL-Client-Cert", cert, "X-SSL-Client-Verify", "SUCCESS")))
	show(format.Decode(header("X-SSL-Client-Cert", cert, "X-SSL-Client-Verify", "FAILED:self-signed certificate")))
	show(format.Decode(header("X-SSL-Client-Verify", "NONE")))
	show(format.Decode(header("X-SSL-Client-Cert", cert)))
	show(format.Decode(header("X-SSL-Client-Cert", cert, "X-SSL-Client-Cert", cert, "X-SSL-Client-Verify", "SUCCESS")))
	// Output:
	// certificate, 0 more, verified: true
	// certificate, 0 more, verified: false
	// no certificate
	// proxy: malformed client certificate: X-Ssl-Client-Verify: verdict missing
	// proxy: malformed client certificate: X-Ssl-Client-Cert: sent more than once
}

func ExampleFormat_Validate() {
	fmt.Println(proxy.Nginx("X_SSL_Client_Cert", "").Validate())
	// Output:
	// proxy: nginx: certificate header: invalid name "X_ssl_client_cert"
	// proxy: nginx: no name for the verdict header
}

func ExampleFormat_WithChain() {
	format := proxy.HAProxy("X-SSL-Client-Cert", "X-SSL-Client-Verify").WithChain("X-SSL-Client-Chain")
	show(format.Decode(header(
		"X-SSL-Client-Cert", sent("haproxy-der-base64"),
		"X-SSL-Client-Verify", "0",
		"X-SSL-Client-Chain", sent("haproxy-chain-der-base64"),
	)))
	// Output: certificate, 1 more, verified: true
}

// Istio's default: the gateway ends the caller's TLS, and the sidecar appends an element for the gateway.
func ExampleFormat_WithHops() {
	const gateway, batch = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway", "spiffe://cluster.local/ns/default/sa/batch"
	format := proxy.Envoy().WithHops("spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway")

	// What the gateway wrote for the caller, and the sidecar for the gateway or for who came past it.
	caller := sent("synth-envoy-xfcc-full")
	peer := ",By=spiffe://cluster.local/ns/default/sa/orders;Hash=" + strings.Repeat("0a", 32) + `;Subject="";URI=`

	show(format.Decode(header("X-Forwarded-Client-Cert", caller+peer+gateway)))
	show(format.Decode(header("X-Forwarded-Client-Cert", peer[1:]+gateway)))
	_, err := format.Decode(header("X-Forwarded-Client-Cert", caller+peer+batch))
	fmt.Println(errors.Is(err, proxy.ErrHops))
	// Output:
	// certificate, 1 more, verified: false
	// no certificate
	// true
}

func ExampleRFC9440() {
	show(proxy.RFC9440().Decode(header(
		"Client-Cert", sent("rfc9440-a-client-cert"),
		"Client-Cert-Chain", sent("rfc9440-a-client-cert-chain"),
	)))
	// Output: certificate, 2 more, verified: false
}

func ExampleApache() {
	format := proxy.Apache("X-SSL-Client-Cert", "X-SSL-Client-Verify").WithChain("X-SSL-Client-Chain-0")
	show(format.Decode(header(
		"X-SSL-Client-Cert", sent("apache-ssl_client_cert"),
		"X-SSL-Client-Verify", "SUCCESS",
		"X-SSL-Client-Chain-0", sent("apache-chain_0"),
	)))
	show(format.Decode(header(
		"X-SSL-Client-Cert", "(null)",
		"X-SSL-Client-Verify", "NONE",
		"X-SSL-Client-Chain-0", "(null)",
	)))
	// Output:
	// certificate, 1 more, verified: true
	// no certificate
}

func ExampleEnvoy() {
	show(proxy.Envoy().Decode(header("X-Forwarded-Client-Cert", sent("synth-envoy-xfcc-full"))))
	show(proxy.Envoy().Decode(header("X-Forwarded-Client-Cert", sent("synth-attack-xfcc-uri-san-injects-cert-key"))))
	// Output:
	// certificate, 1 more, verified: false
	// proxy: malformed client certificate: X-Forwarded-Client-Cert: hash missing or of another certificate
}

func ExampleTraefik() {
	show(proxy.Traefik().Decode(header("X-Forwarded-Tls-Client-Cert", sent("traefik-pem-rsa4096-3"))))
	// Output: certificate, 2 more, verified: false
}

func ExampleAWSALBVerify() {
	format := proxy.AWSALBVerify()
	show(format.Decode(header("X-Amzn-Mtls-Clientcert-Leaf", sent("synth-aws-alb-leaf-safechars"))))
	show(format.Decode(header("X-Amzn-Mtls-Clientcert", sent("synth-aws-alb-passthrough-chain"))))
	// Output:
	// certificate, 0 more, verified: true
	// proxy: malformed client certificate: X-Amzn-Mtls-Clientcert: sent in another mode than the configured one
}

func ExampleGoogleCloud() {
	show(proxy.GoogleCloud(proxy.GoogleCloudHeaders{}).Decode(header(
		"X-Client-Cert-Leaf", sent("synth-gcp-client_cert_leaf"),
		"X-Client-Cert-Chain", sent("synth-gcp-client_cert_chain"),
		"X-Client-Cert-Present", "true",
		"X-Client-Cert-Chain-Verified", "true",
		"X-Client-Cert-Error", "",
	)))
	// Output: certificate, 1 more, verified: true
}

// HAProxy with the header of RFC 9440 and its own verdict.
func ExampleCustom() {
	format := proxy.Custom(proxy.CustomHeaders{
		Name:        "edge",
		Certificate: "Client-Cert",
		Encoding:    proxy.ByteSequence,
		None:        []string{"", "::"},
		Verdict:     "X-SSL-Client-Verify",
		Judge:       proxy.HAProxyVerify,
		Others:      []string{"Client-Cert-Chain"},
	})
	show(format.Decode(header("Client-Cert", sent("haproxy-rfc9440"), "X-SSL-Client-Verify", "0")))
	// Output: certificate, 0 more, verified: true
}

// An encoding of one's own: Apache's %{base64:...} of the PEM text.
func ExampleEncoding() {
	encoding := func(value string) ([][]byte, error) {
		text, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return nil, errors.New("not base64")
		}
		return proxy.PEMFolded(string(text))
	}
	format := proxy.Custom(proxy.CustomHeaders{Certificate: "X-SSL-Client-Cert", Encoding: encoding})
	show(format.Decode(header("X-SSL-Client-Cert", sent("apache-base64-of-pem"))))
	// Output: certificate, 0 more, verified: false
}
