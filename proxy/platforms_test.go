package proxy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/proxy"
)

// platform is a row of the table in docs/platforms.md, whose call is the text of format.
type platform struct {
	name   string // as the row begins
	format proxy.Format
	sent   []string // what it sends for the client, by the source that the row names
	none   []string // what it sends for a client without a certificate
	want   outcome
}

func platforms(t *testing.T) []platform {
	t.Helper()
	leaf, verified := outcome{leaf: cert(t, "client")}, outcome{leaf: cert(t, "client"), verified: true}
	chain := outcome{leaf: leaf.leaf, chain: certs(t, "int")}
	b64DER, escaped := value(t, "synth-azure-x-arr-clientcert"), value(t, "nginx-escaped_cert")
	const cf = "CloudFront-Viewer-Cert-"
	return []platform{
		{
			name:   "APISIX",
			format: proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
			sent:   []string{"X-SSL-Client-Cert", escaped, "X-SSL-Client-Verify", "SUCCESS"},
			none:   []string{"X-SSL-Client-Cert", "", "X-SSL-Client-Verify", "NONE"},
			want:   verified,
		},
		{
			name: "AWS ALB, `verify`", format: proxy.AWSALBVerify(),
			sent: []string{"X-Amzn-Mtls-Clientcert-Leaf", value(t, "synth-aws-alb-leaf-safechars")}, want: verified,
		},
		{
			name: "AWS ALB, `passthrough`", format: proxy.AWSALBPassthrough(),
			sent: []string{"X-Amzn-Mtls-Clientcert", value(t, "synth-aws-alb-passthrough-chain")}, want: chain,
		},
		{
			name: "AWS API Gateway by the Lambda Web Adapter", format: proxy.AWSLambdaWebAdapter(),
			sent: []string{"X-Amzn-Request-Context", value(t, "synth-lambda-request-context-v2")},
			none: []string{"X-Amzn-Request-Context", value(t, "synth-lambda-request-context-function-url")}, want: verified,
		},
		{
			name: "AWS CloudFront, `required` and `optional`", format: proxy.CloudFront(),
			sent: []string{cf + "Pem", value(t, "synth-cloudfront-viewer-cert-pem"), cf + "Present", "1"},
			none: []string{cf + "Present", "0"}, want: verified,
		},
		{
			name: "AWS CloudFront, `passthrough`", format: proxy.CloudFrontPassthrough(),
			sent: []string{
				"Client-Cert", value(t, "synth-cloudfront-client-cert"), cf + "Present", "1",
				"Client-Cert-Chain", value(t, "synth-cloudfront-client-cert-chain"),
			},
			none: []string{cf + "Present", "0"}, want: chain,
		},
		{
			name:   "Avi, `SSL Client Cert Escaped`",
			format: proxy.Custom(proxy.CustomHeaders{Name: "avi", Certificate: "X-Client-Cert", Encoding: proxy.PEMPercent}),
			sent:   []string{"X-Client-Cert", escaped}, want: leaf,
		},
		{
			name:   "Avi, `SSL Client Cert`",
			format: proxy.Custom(proxy.CustomHeaders{Name: "avi", Certificate: "X-Client-Cert", Encoding: proxy.PEMFolded}),
			sent:   []string{"X-Client-Cert", strings.TrimSpace(strings.ReplaceAll(pemText(leaf.leaf), "\n", "\t"))}, want: leaf,
		},
		{
			name: "Azure API Management",
			format: proxy.Custom(proxy.CustomHeaders{Name: "azure-api-management", Certificate: "X-Client-Cert",
				Encoding: proxy.Base64DER, Verdict: "X-Client-Verify", Judge: proxy.NginxVerify}),
			sent: []string{"X-Client-Cert", b64DER, "X-Client-Verify", "SUCCESS"},
			none: []string{"X-Client-Cert", "", "X-Client-Verify", "NONE"}, want: verified,
		},
		{
			name: "Azure App Service and Functions", format: proxy.AzureAppService(),
			sent: []string{"X-ARR-ClientCert", b64DER}, want: leaf,
		},
		{
			name:   "Azure Application Gateway, `Strict`",
			format: proxy.AzureApplicationGateway("X-Client-Cert", "X-Client-Verify"),
			sent:   []string{"X-Client-Cert", value(t, "synth-azure-application-gateway"), "X-Client-Verify", "SUCCESS"},
			none:   []string{"X-Client-Cert", "", "X-Client-Verify", "NONE"}, want: verified,
		},
		{
			name:   "Azure Application Gateway, `Passthrough`",
			format: proxy.AzureApplicationGateway("X-Client-Cert", "X-Client-Verify").WithoutVerdict(),
			sent:   []string{"X-Client-Cert", value(t, "synth-azure-application-gateway"), "X-Client-Verify", "SUCCESS"},
			none:   []string{"X-Client-Cert", ""}, want: leaf,
		},
		{
			name: "Azure Container Apps", format: proxy.AzureContainerApps(),
			sent: []string{"X-Forwarded-Client-Cert", value(t, "synth-azure-container-apps-xfcc")}, want: chain,
		},
		{
			name: "Cloud Foundry gorouter", format: proxy.CloudFoundry(),
			sent: []string{"X-Forwarded-Client-Cert", b64DER}, want: leaf,
		},
		{
			name: "Cloudflare, `Client-Cert`", format: proxy.Cloudflare(),
			sent: []string{"Client-Cert", byteSequence(leaf.leaf)}, none: []string{"Client-Cert", "", "Client-Cert-Chain", ""}, want: leaf,
		},
		{
			name: "Cloudflare, `Cf-Client-Cert-Der-Base64`", format: proxy.CloudflareLegacy(),
			sent: []string{
				"Cf-Client-Cert-Der-Base64", value(t, "synth-cloudflare-der-base64"),
				"Cf-Client-Cert-Sha256", hash(leaf.leaf)[len("Hash="):],
			}, want: leaf,
		},
		{
			name: "Envoy, Contour, Istio's gateway", format: proxy.Envoy(),
			sent: []string{"X-Forwarded-Client-Cert", value(t, "synth-envoy-xfcc-full")}, want: chain,
		},
		{
			name: "F5 BIG-IP", format: proxy.F5("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
			sent: []string{"X-SSL-Client-Cert", b64DER, "X-SSL-Client-Verify", "0"}, want: verified,
		},
		{
			name:   "F5 BIG-IP, `X509::whole`",
			format: proxy.Custom(proxy.CustomHeaders{Name: "f5", Certificate: "X-SSL-Client-Cert", Encoding: proxy.Base64PEM}),
			sent:   []string{"X-SSL-Client-Cert", value(t, "apache-base64-of-pem")}, want: leaf,
		},
		{
			name:   "Fastly",
			format: proxy.Custom(proxy.CustomHeaders{Name: "fastly", Certificate: "X-Client-Cert", Encoding: proxy.Base64PEM}),
			sent:   []string{"X-Client-Cert", value(t, "apache-base64-of-pem")}, none: []string{"X-Client-Cert", ""}, want: leaf,
		},
		{
			name: "Google Cloud ALB", format: proxy.GoogleCloud(proxy.GoogleCloudHeaders{}),
			sent: []string{
				"X-Client-Cert-Leaf", value(t, "synth-gcp-client_cert_leaf"), "X-Client-Cert-Present", "true",
				"X-Client-Cert-Chain-Verified", "true", "X-Client-Cert-Error", "",
			},
			none: []string{
				"X-Client-Cert-Leaf", "", "X-Client-Cert-Present", "false", "X-Client-Cert-Chain-Verified", "false",
				"X-Client-Cert-Error", "client_cert_not_provided",
			},
			want: verified,
		},
		{
			name: "IIS with ARR", format: proxy.IISARR(), sent: []string{"X-ARR-ClientCert", b64DER}, want: leaf,
		},
		{
			name: "ingress-nginx", format: proxy.IngressNginx(),
			sent: []string{"ssl-client-cert", escaped, "ssl-client-verify", "SUCCESS"}, none: []string{"ssl-client-verify", "NONE"},
			want: verified,
		},
		{
			name: "Kong, `tls-metadata-headers`", format: proxy.Kong(), sent: []string{"X-Client-Cert", escaped}, want: leaf,
		},
		{
			name: "OpenShift router", format: proxy.HAProxy("X-SSL-Client-DER", "X-SSL-Client-Verify"),
			sent: []string{"X-SSL-Client-DER", value(t, "haproxy-der-base64"), "X-SSL-Client-Verify", "0"},
			none: []string{"X-SSL-Client-DER", "", "X-SSL-Client-Verify", "0"}, want: verified,
		},
		{
			name: "any with RFC 9440", format: proxy.RFC9440(), sent: []string{"Client-Cert", byteSequence(leaf.leaf)}, want: leaf,
		},
	}
}

// Each row's call reads what the row's source says that the platform sends.
func TestPlatforms(t *testing.T) {
	for _, p := range platforms(t) {
		t.Run(p.name, func(t *testing.T) {
			if err := p.format.Validate(); err != nil {
				t.Fatal(err)
			}
			check(t, p.format, header(p.sent...), p.want)
			check(t, p.format, header(), none)
			check(t, p.format, header(p.none...), none)
			twice := header(p.sent...)
			twice.Add(p.sent[0], p.sent[1])
			check(t, p.format, twice, malformed)
		})
	}
}

// The table has these rows, in the order of the alphabet, with these very calls.
func TestPlatformsPage(t *testing.T) {
	rows := tableRows(t)
	calls := platformCalls(t)
	if len(calls) != len(platforms(t)) {
		t.Fatalf("got %d calls, want one for each of %d", len(calls), len(platforms(t)))
	}
	for name, call := range calls {
		row, ok := rows[name]
		switch {
		case !ok:
			t.Errorf("docs/platforms.md: no row begins with %q", name)
		case row[1] != "`"+call+"`":
			t.Errorf("docs/platforms.md: %s: got the call %s, want `%s`", name, row[1], call)
		case len(row) != 6 || !strings.Contains(row[5], "](http"):
			t.Errorf("docs/platforms.md: %s: got %d columns, want 6, the last with a link to the source", name, len(row))
		}
	}
	for name := range rows {
		if _, ok := calls[name]; !ok && !strings.HasPrefix(name, "AWS API Gateway to") && !strings.HasPrefix(name, "AWS ALB to a") {
			t.Errorf("docs/platforms.md: %s: no test of that name: add it to platforms", name)
		}
	}
}

// platformsPage is docs/platforms.md.
func platformsPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/platforms.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableRows returns the cells of the table of platforms by the first one of each row.
func tableRows(t *testing.T) map[string][]string {
	t.Helper()
	_, table, _ := strings.Cut(platformsPage(t), "<!-- platforms -->\n")
	table, _, ok := strings.Cut(table, "<!-- end -->")
	if !ok {
		t.Fatal("docs/platforms.md: no table of platforms")
	}
	rows, before := map[string][]string{}, ""
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if i < 2 {
			continue // the head
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | ")
		name := cells[0]
		if folded := strings.ToLower(strings.ReplaceAll(name, "`", "")); folded < before {
			t.Errorf("docs/platforms.md: %s: not in the order of the alphabet", name)
		} else {
			before = folded
		}
		rows[name] = cells
	}
	return rows
}

// platformCalls returns the text of each format in platforms by the name of its row.
func platformCalls(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("platforms_test.go")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || lit.Type != nil {
			return true
		}
		var name, call string
		for _, e := range lit.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			text := string(source[kv.Value.Pos()-1 : kv.Value.End()-1])
			switch kv.Key.(*ast.Ident).Name {
			case "name":
				name = strings.Trim(text, `"`)
			case "format":
				call = strings.Join(strings.Fields(text), " ")
			}
		}
		if name != "" && call != "" {
			calls[name] = call
		}
		return true
	})
	return calls
}
