package proxy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

const (
	certHeader   = "X-SSL-Client-Cert"
	verifyHeader = "X-SSL-Client-Verify"
	chainHeader  = "X-SSL-Client-Chain"
)

var (
	malformed = outcome{err: proxy.ErrMalformed}
	tooLarge  = outcome{err: proxy.ErrTooLarge}
	none      = outcome{}
)

// verdicts runs what is the same for nginx, ingress-nginx and Apache. blank is how the proxy says "no certificate".
func verdicts(t *testing.T, f proxy.Format, certName, verifyName, sent, blank string) {
	t.Helper()
	client := cert(t, "client")
	tests := []struct {
		name string
		h    []string
		want outcome
	}{
		{"validated", []string{certName, sent, verifyName, "SUCCESS"}, outcome{leaf: client, verified: true}},
		{"self-signed", []string{certName, sent, verifyName, "FAILED:self-signed certificate"}, outcome{leaf: client}},
		{"unknown CA", []string{certName, sent, verifyName, "FAILED:unable to get local issuer certificate"}, outcome{leaf: client}},
		{"none", []string{certName, blank, verifyName, "NONE"}, none},
		{"none, no header", []string{verifyName, "NONE"}, none},
		{"none, empty header", []string{certName, "", verifyName, "NONE"}, none},
		{"nothing at all", nil, none},
		{"nothing but an empty header", []string{certName, ""}, none},
		{"verdict missing", []string{certName, sent}, malformed},
		{"verdict empty", []string{certName, sent, verifyName, ""}, malformed},
		{"verdict empty, none", []string{certName, blank, verifyName, ""}, malformed},
		{"verdict twice", []string{certName, sent, verifyName, "SUCCESS", verifyName, "SUCCESS"}, malformed},
		{"verdicts differ", []string{certName, sent, verifyName, "SUCCESS", verifyName, "NONE"}, malformed},
		{"verdict lines merged", []string{certName, sent, verifyName, "SUCCESS, SUCCESS"}, malformed},
		{"failure and success merged", []string{certName, sent, verifyName, "FAILED:expired, SUCCESS"}, malformed},
		{"failures merged", []string{certName, sent, verifyName, "FAILED:expired, expired"}, malformed},
		{"lower case", []string{certName, sent, verifyName, "success"}, malformed},
		{"trailing space", []string{certName, sent, verifyName, "SUCCESS "}, malformed},
		{"leading space", []string{certName, sent, verifyName, " SUCCESS"}, malformed},
		{"success as a reason", []string{certName, sent, verifyName, "FAILED:SUCCESS"}, malformed},
		{"none as a reason", []string{certName, sent, verifyName, "FAILED:NONE"}, malformed},
		{"failure as a reason", []string{certName, sent, verifyName, "FAILED:FAILED:x"}, malformed},
		{"generous as a reason", []string{certName, sent, verifyName, "FAILED:GENEROUS"}, malformed},
		{"no reason", []string{certName, sent, verifyName, "FAILED:"}, malformed},
		{"failed", []string{certName, sent, verifyName, "FAILED"}, malformed},
		{"number", []string{certName, sent, verifyName, "0"}, malformed},
		{"true", []string{certName, sent, verifyName, "true"}, malformed},
		{"none beside a certificate", []string{certName, sent, verifyName, "NONE"}, malformed},
		{"success without a certificate", []string{verifyName, "SUCCESS"}, malformed},
		{"success beside an empty header", []string{certName, "", verifyName, "SUCCESS"}, malformed},
		{"success beside none", []string{certName, blank, verifyName, "SUCCESS"}, malformed},
		{"failure without a certificate", []string{verifyName, "FAILED:self-signed certificate"}, malformed},
		{"long verdict", []string{certName, sent, verifyName, "FAILED:" + string(make([]byte, 122))}, tooLarge},
		{"certificate twice", []string{certName, sent, certName, sent, verifyName, "SUCCESS"}, malformed},
		{"second certificate empty", []string{certName, sent, certName, "", verifyName, "SUCCESS"}, malformed},
		{"first certificate empty", []string{certName, "", certName, sent, verifyName, "SUCCESS"}, malformed},
		{"certificate lines merged", []string{certName, sent + ", " + sent, verifyName, "SUCCESS"}, malformed},
		{"other spelling is not read", []string{"X_SSL_Client_Cert", sent, "X_SSL_Client_Verify", "SUCCESS"}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, f, header(tt.h...), tt.want) })
	}
	// What other proxies send without a certificate is no absence here.
	for _, text := range []string{" ", "(null)", "::", ":{x}:", "{http.request.tls.client.certificate_der_base64}", "NONE", "null",
		"undefined", "-", "<nil>"} {
		if text == blank {
			continue
		}
		t.Run("none as "+text, func(t *testing.T) {
			check(t, f, header(certName, text, verifyName, "NONE"), malformed)
			check(t, f, header(certName, text, verifyName, "SUCCESS"), malformed)
		})
	}
}

func TestNginx(t *testing.T) {
	f := proxy.Nginx(certHeader, verifyHeader)
	sent := value(t, "nginx-escaped_cert")
	verdicts(t, f, certHeader, verifyHeader, sent, "")
	t.Run("Apache's verdicts", func(t *testing.T) {
		check(t, f, header(certHeader, sent, verifyHeader, "GENEROUS"), malformed)
		check(t, f, header(verifyHeader, "(null)"), malformed)
	})
}

func TestIngressNginx(t *testing.T) {
	verdicts(t, proxy.IngressNginx(), "ssl-client-cert", "ssl-client-verify", value(t, "nginx-escaped_cert"), "")
}

func TestApache(t *testing.T) {
	f := proxy.Apache(certHeader, verifyHeader)
	sent := value(t, "apache-ssl_client_cert")
	verdicts(t, f, certHeader, verifyHeader, sent, "(null)")
	t.Run("accepted without validation", func(t *testing.T) {
		check(t, f, header(certHeader, sent, verifyHeader, "GENEROUS"), outcome{leaf: cert(t, "client")})
	})
	t.Run("without TLS", func(t *testing.T) {
		check(t, f, header(certHeader, "(null)", verifyHeader, "(null)"), none)
		check(t, f, header(certHeader, sent, verifyHeader, "(null)"), malformed)
	})
	t.Run("client's Connection header took the verdict away", func(t *testing.T) {
		check(t, f, header(certHeader, sent), malformed)
		check(t, f, header(certHeader, "(null)"), malformed)
		check(t, f, header(), none)
	})
	t.Run("null in other forms", func(t *testing.T) {
		for _, text := range []string{"(NULL)", "(null), (null)", "(null) ", "null"} {
			check(t, f, header(certHeader, text, verifyHeader, "NONE"), malformed)
		}
	})
}

func TestApacheChain(t *testing.T) {
	f := proxy.Apache(certHeader, verifyHeader).WithChain("X-Chain-0", "X-Chain-1", "X-Chain-2")
	sent, first := value(t, "apache-ssl_client_cert"), value(t, "apache-chain_0")
	second := foldedPEM(cert(t, "ca"))
	leaf := cert(t, "client")
	tests := []struct {
		name string
		h    []string
		want outcome
	}{
		{"one", []string{"X-Chain-0", first, "X-Chain-1", "(null)", "X-Chain-2", "(null)"},
			outcome{leaf: leaf, chain: certs(t, "int"), verified: true}},
		{"two", []string{"X-Chain-0", first, "X-Chain-1", second, "X-Chain-2", "(null)"},
			outcome{leaf: leaf, chain: certs(t, "int", "ca"), verified: true}},
		{"lost on resumption", []string{"X-Chain-0", "(null)", "X-Chain-1", "(null)", "X-Chain-2", "(null)"},
			outcome{leaf: leaf, verified: true}},
		{"not sent", nil, outcome{leaf: leaf, verified: true}},
		{"gap of null", []string{"X-Chain-0", "(null)", "X-Chain-1", second}, malformed},
		{"gap of nothing", []string{"X-Chain-1", second}, malformed},
		{"line twice", []string{"X-Chain-0", first, "X-Chain-0", first}, malformed},
		{"malformed", []string{"X-Chain-0", "x"}, malformed},
		{"two in one header", []string{"X-Chain-0", first + second}, malformed},
		{"over 64 KiB together", []string{"X-Chain-0", string(make([]byte, 32<<10)), "X-Chain-1", string(make([]byte, 32<<10))}, tooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, f, header(append([]string{certHeader, sent, verifyHeader, "SUCCESS"}, tt.h...)...), tt.want)
		})
	}
	t.Run("each within its limit, all together not", func(t *testing.T) {
		names := []string{"X-0", "X-1", "X-2", "X-3", "X-4"}
		large := proxy.Apache(certHeader, verifyHeader).WithChain(names...)
		der := sequence(11 << 10)
		h := header(certHeader, sent, verifyHeader, "SUCCESS")
		for _, name := range names[:4] {
			h.Set(name, foldedPEM(der))
		}
		check(t, large, h, outcome{leaf: leaf, chain: [][]byte{der, der, der, der}, verified: true})
		h.Set(names[4], foldedPEM(der))
		check(t, large, h, tooLarge)
	})
	t.Run("without a certificate", func(t *testing.T) {
		check(t, f, header(certHeader, "(null)", verifyHeader, "NONE", "X-Chain-0", "(null)"), none)
		check(t, f, header(certHeader, "(null)", verifyHeader, "NONE", "X-Chain-0", first), malformed)
		check(t, f, header(certHeader, "(null)", verifyHeader, "NONE", "X-Chain-1", first), malformed)
	})
}

func TestHAProxy(t *testing.T) {
	f := proxy.HAProxy(certHeader, verifyHeader).WithChain(chainHeader)
	sent, chain := value(t, "haproxy-der-base64"), value(t, "haproxy-chain-der-base64")
	leaf := cert(t, "client")
	tests := []struct {
		name string
		h    []string
		want outcome
	}{
		{"validated", []string{certHeader, sent, verifyHeader, "0"}, outcome{leaf: leaf, verified: true}},
		{"with chain", []string{certHeader, sent, verifyHeader, "0", chainHeader, chain},
			outcome{leaf: leaf, chain: certs(t, "int"), verified: true}},
		{"resumed", []string{certHeader, sent, verifyHeader, "0", chainHeader, ""}, outcome{leaf: leaf, verified: true}},
		{"self-signed", []string{certHeader, sent, verifyHeader, "18"}, outcome{leaf: leaf}},
		{"expired", []string{certHeader, sent, verifyHeader, "10"}, outcome{leaf: leaf}},
		{"largest number", []string{certHeader, sent, verifyHeader, "9999"}, outcome{leaf: leaf}},
		{"none", []string{certHeader, "", verifyHeader, "0"}, none},
		{"none, conditional header", []string{verifyHeader, "0"}, none},
		{"none, both conditional", nil, none},
		{"none, verdict conditional", []string{certHeader, ""}, none},
		{"without TLS", []string{certHeader, "", verifyHeader, "", chainHeader, ""}, none},
		{"verdict missing", []string{certHeader, sent}, malformed},
		{"verdict empty", []string{certHeader, sent, verifyHeader, ""}, malformed},
		{"failure without a certificate", []string{certHeader, "", verifyHeader, "18"}, malformed},
		{"two zeros", []string{certHeader, sent, verifyHeader, "00"}, malformed},
		{"leading zero", []string{certHeader, sent, verifyHeader, "018"}, malformed},
		{"plus", []string{certHeader, sent, verifyHeader, "+0"}, malformed},
		{"plus on a failure", []string{certHeader, sent, verifyHeader, "+18"}, malformed},
		{"minus", []string{certHeader, sent, verifyHeader, "-1"}, malformed},
		{"hexadecimal", []string{certHeader, sent, verifyHeader, "0x0"}, malformed},
		{"letters", []string{certHeader, sent, verifyHeader, "SUCCESS"}, malformed},
		{"space", []string{certHeader, sent, verifyHeader, "0 "}, malformed},
		{"text inside", []string{certHeader, sent, verifyHeader, "1a8"}, malformed},
		{"five digits", []string{certHeader, sent, verifyHeader, "10000"}, malformed},
		{"merged", []string{certHeader, sent, verifyHeader, "0, 0"}, malformed},
		{"twice", []string{certHeader, sent, verifyHeader, "0", verifyHeader, "0"}, malformed},
		{"add-header behind the client's", []string{certHeader, "SPOOF1", certHeader, sent, verifyHeader, "0"}, malformed},
		{"chain without a certificate", []string{certHeader, "", verifyHeader, "0", chainHeader, chain}, malformed},
		{"chain twice", []string{certHeader, sent, verifyHeader, "0", chainHeader, chain, chainHeader, chain}, malformed},
		{"chain cut short", []string{certHeader, sent, verifyHeader, "0", chainHeader, chain[:len(chain)-4]}, malformed},
		{"leaf twice in its header", []string{certHeader, b64(append(leaf[:len(leaf):len(leaf)], leaf...)), verifyHeader, "0"}, malformed},
		{"delimiters", []string{certHeader, "::", verifyHeader, "0"}, malformed},
		{"(null)", []string{certHeader, "(null)", verifyHeader, "0"}, malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, f, header(tt.h...), tt.want) })
	}
}

func TestCaddy(t *testing.T) {
	f := proxy.Caddy(certHeader)
	sent := value(t, "caddy-der-base64")
	check(t, f, header(certHeader, sent), outcome{leaf: cert(t, "client")})
	check(t, f, header(), none)
	check(t, f, header(certHeader, ""), none)
	check(t, f, header(certHeader, value(t, "caddy-2.6.2-nocert")), none)
	for name, v := range map[string]string{
		"another placeholder":     "{http.request.tls.client.certificate_pem}",
		"misspelt placeholder":    "{http.request.tls.client.certificate_der_base64",
		"placeholder, delimiters": ":{http.request.tls.client.certificate_der_base64}:",
		"placeholder twice":       value(t, "caddy-2.6.2-nocert") + value(t, "caddy-2.6.2-nocert"),
		"fingerprint of nothing":  value(t, "caddy-2.11.9-nocert-fingerprint"),
		"serial of nothing":       "<nil>",
		"delimiters":              "::",
		"(null)":                  "(null)",
	} {
		t.Run(name, func(t *testing.T) { check(t, f, header(certHeader, v), malformed) })
	}
	check(t, f, header(certHeader, "SPOOF1", certHeader, sent), malformed)
}

func TestTraefik(t *testing.T) {
	const name = "X-Forwarded-Tls-Client-Cert"
	f := proxy.Traefik()
	check(t, f, header(name, value(t, "traefik-pem-leaf-int")), outcome{leaf: cert(t, "client"), chain: certs(t, "int")})
	check(t, f, header(name, value(t, "traefik-pem-rsa4096-3")), outcome{leaf: cert(t, "rcli"), chain: certs(t, "rint", "rca")})
	check(t, f, header(), none)
	check(t, f, header(name, ""), none)
	check(t, f, header(name+"-Info", value(t, "traefik-info")), malformed) // info without pem
	check(t, f, header(name+"-Info", ""), none)
	check(t, f, header(name, value(t, "synth-traefik-2.9.1-queryescaped")), malformed)
	check(t, f, header(name, value(t, "traefik-pem-leaf-int"), name, value(t, "traefik-pem-leaf-int")), malformed)
	check(t, f, header(name, value(t, "traefik-pem-leaf-int")+", "+value(t, "traefik-pem-leaf-int")), malformed)
}

func TestKong(t *testing.T) {
	const name, chain = "X-Client-Cert", "X-Client-Cert-Chain"
	f := proxy.Kong()
	client, ca := cert(t, "client"), cert(t, "int")
	sent := percentPEM(client)
	check(t, f, header(name, sent), outcome{leaf: client})
	check(t, f, header(name, sent, chain, percentPEM(client, ca)), outcome{leaf: client, chain: [][]byte{ca}})
	check(t, f, header(name, sent, chain, percentPEM(client)), outcome{leaf: client})
	check(t, f, header(name, sent, chain, percentPEM(ca)), outcome{leaf: client, chain: [][]byte{ca}})
	check(t, f, header(name, sent, chain, ""), outcome{leaf: client})
	check(t, f, header(), none)
	check(t, f, header(name, ""), none)
	check(t, f, header(chain, percentPEM(client, ca)), malformed)
	check(t, f, header(name, sent, chain, "x"), malformed)
	check(t, f, header(name, sent, chain, percentPEM(client), chain, percentPEM(ca)), malformed)
}

func TestF5(t *testing.T) {
	f := proxy.F5(certHeader, verifyHeader)
	client, sent := outcome{leaf: cert(t, "client")}, value(t, "haproxy-der-base64")
	check(t, f, header(certHeader, sent, verifyHeader, "0"), outcome{leaf: client.leaf, verified: true})
	check(t, f, header(certHeader, sent, verifyHeader, "18"), client)
	check(t, f, header(certHeader, sent), malformed)
	check(t, f, header(certHeader, sent, verifyHeader, "ok"), malformed)
	check(t, f, header(certHeader, sent, certHeader, sent, verifyHeader, "0"), malformed) // insert, and no remove
	check(t, f, header(), none)
	_, err := f.Decode(header(certHeader, value(t, "apache-base64-of-pem"), verifyHeader, "0"))
	if !errors.Is(err, proxy.ErrMalformed) || !strings.Contains(err.Error(), "Base64PEM") {
		t.Errorf("base64 of PEM: got %v, want the Encoding for it", err)
	}
}
