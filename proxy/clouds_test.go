package proxy_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestCloudflare(t *testing.T) {
	f := proxy.Cloudflare()
	leaf, chain := byteSequence(cert(t, "client")), value(t, "synth-rfc9440-chain-two")
	check(t, f, header("Client-Cert", leaf, "Client-Cert-Chain", chain), outcome{leaf: cert(t, "client"), chain: certs(t, "int", "ca")})
	check(t, f, header("Client-Cert", leaf, "Client-Cert-Chain", ""), outcome{leaf: cert(t, "client")})
	check(t, f, header("Client-Cert", "", "Client-Cert-Chain", ""), none)
	check(t, f, header("Client-Cert", "", "Client-Cert-Chain", chain), malformed)
	check(t, f, header("Client-Cert", "::"), malformed)
	check(t, f, header("Cf-Client-Cert-Der-Base64", b64(cert(t, "client"))), none)
}

// One base64 certificate in one fixed header, without a verdict.
func TestBase64Presets(t *testing.T) {
	for name, f := range map[string]proxy.Format{
		"Cf-Client-Cert-Der-Base64": proxy.CloudflareLegacy(),
		"X-ARR-ClientCert":          proxy.AzureAppService(),
		"x-arr-clientcert":          proxy.IISARR(),
		"X-Forwarded-Client-Cert":   proxy.CloudFoundry(),
	} {
		t.Run(f.Name(), func(t *testing.T) {
			sent := value(t, "synth-azure-x-arr-clientcert")
			check(t, f, header(name, sent), outcome{leaf: cert(t, "client")})
			check(t, f, header(), none)
			check(t, f, header(name, ""), none)
			check(t, f, header(name, sent, name, sent), malformed)
			check(t, f, header(name, sent+", "+sent), malformed)
			for _, v := range []string{"(null)", "::", "null", "-", value(t, "synth-envoy-xfcc-full"), value(t, "nginx-escaped_cert"),
				byteSequence(cert(t, "client"))} {
				check(t, f, header(name, v), malformed)
			}
		})
	}
}

func TestGoogleCloud(t *testing.T) {
	const leafName, chainName = "X-Client-Cert-Leaf", "X-Client-Cert-Chain"
	const present, verified, problem = "X-Client-Cert-Present", "X-Client-Cert-Chain-Verified", "X-Client-Cert-Error"
	f := proxy.GoogleCloud(proxy.GoogleCloudHeaders{})
	leaf, chain := value(t, "synth-gcp-client_cert_leaf"), value(t, "synth-gcp-client_cert_chain")
	ok := outcome{leaf: cert(t, "client"), verified: true}
	tests := []struct {
		name string
		h    []string
		want outcome
	}{
		{"validated", []string{leafName, leaf, present, "true", verified, "true", problem, ""}, ok},
		{"no error header", []string{leafName, leaf, present, "true", verified, "true"}, ok},
		{"with chain", []string{leafName, leaf, chainName, chain, present, "true", verified, "true", problem, ""},
			outcome{leaf: ok.leaf, chain: certs(t, "int"), verified: true}},
		{"none", []string{leafName, "", chainName, "", present, "false", verified, "false", problem, "client_cert_not_provided"}, none},
		{"none, delimiters", []string{leafName, "::", present, "false", verified, "false", problem, ""}, none},
		{"none, nothing sent", nil, none},
		{"none, leaf alone", []string{leafName, ""}, none},
		{"verdict missing", []string{leafName, leaf}, malformed},
		{"present missing", []string{leafName, leaf, verified, "true", problem, ""}, malformed},
		{"verified missing", []string{leafName, leaf, present, "true", problem, ""}, malformed},
		{"error alone, no certificate", []string{problem, ""}, malformed},
		{"present missing, no certificate", []string{verified, "false", problem, ""}, malformed},
		{"present, not validated, no certificate", []string{present, "true", verified, "false", problem, ""}, malformed},
		{"error alone", []string{leafName, leaf, problem, ""}, malformed},
		{"not validated", []string{leafName, leaf, present, "true", verified, "false", problem, "client_cert_validation_failed"},
			malformed},
		{"not validated, no error", []string{leafName, leaf, present, "true", verified, "false", problem, ""}, malformed},
		{"validated with an error", []string{leafName, leaf, present, "true", verified, "true", problem, "client_cert_validation_failed"},
			malformed},
		{"present false beside a certificate", []string{leafName, leaf, present, "false", verified, "false", problem, ""}, malformed},
		{"present false, validated", []string{leafName, leaf, present, "false", verified, "true", problem, ""}, malformed},
		{"present false, validated, no certificate", []string{present, "false", verified, "true", problem, ""}, malformed},
		{"present without a certificate", []string{leafName, "", present, "true", verified, "true", problem, ""}, malformed},
		{"too large to forward", []string{leafName, "", present, "true", verified, "false", problem, "client_cert_chain_exceeded_limit"},
			malformed},
		{"none, another error", []string{leafName, "", present, "false", verified, "false", problem, "client_cert_chain_exceeded_limit"},
			malformed},
		{"capital", []string{leafName, leaf, present, "True", verified, "true", problem, ""}, malformed},
		{"number", []string{leafName, leaf, present, "1", verified, "1", problem, ""}, malformed},
		{"merged", []string{leafName, leaf, present, "true, true", verified, "true", problem, ""}, malformed},
		{"verified twice", []string{leafName, leaf, present, "true", verified, "false", verified, "true", problem, ""}, malformed},
		{"error twice", []string{leafName, leaf, present, "true", verified, "true", problem, "", problem, "x"}, malformed},
		{"leaf without delimiters", []string{leafName, b64(ok.leaf), present, "true", verified, "true", problem, ""}, malformed},
		{"chain without a certificate", []string{chainName, chain, present, "false", verified, "false", problem, ""}, malformed},
		{"long error", []string{leafName, leaf, present, "true", verified, "true", problem, string(make([]byte, 129))}, tooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { check(t, f, header(tt.h...), tt.want) })
	}
	t.Run("own names", func(t *testing.T) {
		f := proxy.GoogleCloud(proxy.GoogleCloudHeaders{Leaf: "a-leaf", Chain: "a-chain", Present: "a-present", Verified: "a-verified",
			Error: "a-error"})
		check(t, f, header("a-leaf", leaf, "a-chain", chain, "a-present", "true", "a-verified", "true", "a-error", ""),
			outcome{leaf: ok.leaf, chain: certs(t, "int"), verified: true})
	})
	t.Run("not validated, accepted by name", func(t *testing.T) {
		check(t, f.WithoutVerdict(), header(leafName, leaf, present, "true", verified, "false", problem, "client_cert_validation_failed"),
			outcome{leaf: ok.leaf})
	})
}
