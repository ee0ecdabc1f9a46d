package proxy_test

import (
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

func TestAWSALB(t *testing.T) {
	const leafName, chainName = "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert"
	client := cert(t, "client")
	leaf, chain := value(t, "synth-aws-alb-leaf-safechars"), value(t, "synth-aws-alb-passthrough-chain")
	t.Run("verify", func(t *testing.T) {
		f := proxy.AWSALBVerify()
		check(t, f, header(leafName, leaf), outcome{leaf: client, verified: true})
		check(t, f, header(leafName, value(t, "synth-aws-alb-leaf-pct3D")), outcome{leaf: client, verified: true})
		check(t, f, header(), none)
		check(t, f, header(leafName, ""), none)
		check(t, f, header(leafName, chain), malformed)
		check(t, f, header(chainName, chain), malformed)
		check(t, f, header(leafName, leaf, chainName, chain), malformed)
		check(t, f, header(leafName, leaf, chainName, ""), malformed)
		check(t, f, header(leafName, leaf, leafName, leaf), malformed)
	})
	t.Run("passthrough", func(t *testing.T) {
		f := proxy.AWSALBPassthrough()
		check(t, f, header(chainName, chain), outcome{leaf: client, chain: certs(t, "int")})
		check(t, f, header(chainName, leaf), outcome{leaf: client})
		check(t, f, header(), none)
		check(t, f, header(chainName, ""), none)
		check(t, f, header(leafName, leaf), malformed)
		check(t, f, header(leafName, leaf, chainName, chain), malformed)
	})
}

// What a mode that validates nothing sends is an error for the format of the other, and a hash never stands for a certificate.
func TestCloudFront(t *testing.T) {
	const pem, present, sha = "CloudFront-Viewer-Cert-Pem", "CloudFront-Viewer-Cert-Present", "CloudFront-Viewer-Cert-Sha256"
	client := cert(t, "client")
	leaf, sequence := value(t, "synth-cloudfront-viewer-cert-pem"), value(t, "synth-cloudfront-client-cert")
	hex := hash(client)[len("Hash="):]
	for _, tt := range []struct {
		name string
		f    proxy.Format
		h    []string
		want outcome
	}{
		{"+ / = encoded", proxy.CloudFront(), []string{pem, value(t, "nginx-escaped_cert"), present, "1"},
			outcome{leaf: client, verified: true}},
		{"with its hash", proxy.CloudFront(), []string{pem, leaf, present, "1", sha, hex}, outcome{leaf: client, verified: true}},
		{"present missing", proxy.CloudFront(), []string{pem, leaf}, malformed},
		{"present 0", proxy.CloudFront(), []string{pem, leaf, present, "0"}, malformed},
		{"present, no certificate", proxy.CloudFront(), []string{present, "1"}, malformed},
		{"true", proxy.CloudFront(), []string{pem, leaf, present, "true"}, malformed},
		{"hash alone", proxy.CloudFront(), []string{sha, hex}, malformed},
		{"hash and present", proxy.CloudFront(), []string{sha, hex, present, "1"}, malformed},
		{"a hash in the second line", proxy.CloudFront(), []string{sha, "", sha, hex, present, "0"}, malformed},
		{"an empty hash", proxy.CloudFront(), []string{sha, "", present, "0"}, none},
		{"switched to passthrough", proxy.CloudFront(), []string{"Client-Cert", sequence, present, "1"}, malformed},
		{"both", proxy.CloudFront(), []string{pem, leaf, "Client-Cert", sequence, present, "1"}, malformed},
		{"a client's chain", proxy.CloudFront(), []string{pem, leaf, "Client-Cert-Chain", sequence, present, "1"}, malformed},
		{"the chain's form in Pem", proxy.CloudFront(), []string{pem, sequence, present, "1"}, malformed},

		{"never verified", proxy.CloudFrontPassthrough(), []string{"Client-Cert", sequence, present, "1"}, outcome{leaf: client}},
		{"a client's own, where CloudFront has seen none", proxy.CloudFrontPassthrough(),
			[]string{"Client-Cert", sequence, present, "0"}, malformed},
		{"a client's own, without CloudFront's word", proxy.CloudFrontPassthrough(), []string{"Client-Cert", sequence}, malformed},
		{"hash alone, passthrough", proxy.CloudFrontPassthrough(), []string{sha, hex, present, "1"}, malformed},
		{"switched to required", proxy.CloudFrontPassthrough(), []string{pem, leaf, present, "1"}, malformed},
		{"both, passthrough", proxy.CloudFrontPassthrough(), []string{pem, leaf, "Client-Cert", sequence, present, "1"}, malformed},
		{"two lines", proxy.CloudFrontPassthrough(), []string{"Client-Cert", sequence, "Client-Cert", sequence, present, "1"}, malformed},
		{"chain alone", proxy.CloudFrontPassthrough(), []string{"Client-Cert-Chain", sequence, present, "0"}, malformed},
	} {
		t.Run(tt.name, func(t *testing.T) { check(t, tt.f, header(tt.h...), tt.want) })
	}
	for _, f := range []proxy.Format{proxy.CloudFront(), proxy.CloudFrontPassthrough()} {
		err := f.WithoutVerdict().Validate()
		if err == nil || !strings.Contains(err.Error(), "Cloudfront-Viewer-Cert-Present") {
			t.Errorf("%s without its verdict: got %v, want that it is needed", f.Name(), err)
		}
		_, err = f.Decode(header(sha, hex))
		if err == nil || !strings.Contains(err.Error(), "a hash alone confirms nothing") || strings.Contains(err.Error(), hex) {
			t.Errorf("%s: got %v, want why a hash is not enough", f.Name(), err)
		}
	}
}
