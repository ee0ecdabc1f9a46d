package proxy_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/proxy"
)

// trap is a mistake in a platform's configuration, by which what a client sends gets to the API in the platform's own requests.
type trap struct {
	platform, mistake string
	format            proxy.Format
	thiefs            []string // what the platform writes for the thief's certificate, beside what the thief has forged
	secret            bool     // the same rule writes the secret, so that it is missing, too
	forged            func(owner []byte) []string
	status            int
}

const platformSecret = "written-by-the-same-rule"

// traps are the rows of the table in docs/platforms.md.
func traps() []trap {
	const cert, verify = "X-Client-Cert", "X-Client-Verify"
	const cf = "CloudFront-Viewer-Cert-"
	escaped := func(name string, more ...string) func([]byte) []string {
		return func(der []byte) []string { return append([]string{name, percentPEM(der)}, more...) }
	}
	base64DER := func(name string, more ...string) func([]byte) []string {
		return func(der []byte) []string { return append([]string{name, b64(der)}, more...) }
	}
	sequences := func(more ...string) func([]byte) []string {
		return func(der []byte) []string { return append([]string{"Client-Cert", byteSequence(der)}, more...) }
	}
	gateway := proxy.AzureApplicationGateway(cert, verify)
	return []trap{
		{platform: "APISIX", mistake: "a route without `proxy-rewrite`", format: proxy.Nginx(cert, verify),
			forged: escaped(cert, verify, "SUCCESS"), status: 200},
		{platform: "APISIX", mistake: "the same, and `proxy-rewrite` writes a secret", format: proxy.Nginx(cert, verify), secret: true,
			forged: escaped(cert, verify, "SUCCESS"), status: 400},
		{platform: "AWS ALB", mistake: "a listener without mutual TLS for the same target group", format: proxy.AWSALBVerify(),
			forged: escaped("X-Amzn-Mtls-Clientcert-Leaf"), status: 200},
		{platform: "AWS ALB", mistake: "a listener in `passthrough` for the same target group", format: proxy.AWSALBVerify(),
			thiefs: []string{"X-Amzn-Mtls-Clientcert"}, forged: escaped("X-Amzn-Mtls-Clientcert-Leaf"), status: 400},
		{platform: "AWS CloudFront", mistake: "`optional`, and the policy has no `-Present`", format: proxy.CloudFront(),
			forged: escaped(cf + "Pem"), status: 400},
		{platform: "AWS CloudFront", mistake: "switched to `passthrough`", format: proxy.CloudFront(),
			forged: sequences(cf+"Present", "1"), status: 400},
		{platform: "AWS CloudFront", mistake: "`passthrough`, the client's own `Client-Cert`, no certificate",
			format: proxy.CloudFrontPassthrough(), forged: sequences(cf+"Present", "0"), status: 400},
		{platform: "Azure App Service", mistake: "a path that needs no certificate, and the client's header passes",
			format: proxy.AzureAppService(), forged: base64DER("X-ARR-ClientCert"), status: 200},
		{platform: "Azure Application Gateway", mistake: "a listener or path without the rewrite set", format: gateway,
			forged: escaped(cert, verify, "SUCCESS"), status: 200},
		{platform: "Azure Application Gateway", mistake: "the same, and its rule writes a secret", format: gateway, secret: true,
			forged: escaped(cert, verify, "SUCCESS"), status: 400},
		{platform: "Azure Application Gateway", mistake: "one rule for the certificate, another for the verdict, with a condition",
			format: gateway, forged: escaped(cert, verify, "SUCCESS", verify, "NONE"), status: 400},
		{platform: "Azure Container Apps", mistake: "the client's own element stays before the ingress'",
			format: proxy.AzureContainerApps(), forged: func(der []byte) []string {
				element := hash(der) + `;Cert="` + percentPEM(der) + `"`
				return []string{"X-Forwarded-Client-Cert", element + "," + element + ";"}
			}, status: 400},
		{platform: "Cloud Foundry", mistake: "`always_forward`, or `forward` and a thief with a certificate", format: proxy.CloudFoundry(),
			forged: base64DER("X-Forwarded-Client-Cert"), status: 200},
		{platform: "Cloudflare", mistake: "no rule that removes `Client-Cert`", format: proxy.Cloudflare(),
			forged: sequences(), status: 200},
		{platform: "F5 BIG-IP", mistake: "`HTTP::header insert` without `remove`, a thief with a certificate",
			format: proxy.F5(cert, verify), thiefs: []string{cert, verify}, forged: base64DER(cert, verify, "0"), status: 400},
		{platform: "F5 BIG-IP", mistake: "the same, no certificate", format: proxy.F5(cert, verify),
			forged: base64DER(cert, verify, "0"), status: 200},
		{platform: "Google Cloud ALB", mistake: "a backend service without the custom headers",
			format: proxy.GoogleCloud(proxy.GoogleCloudHeaders{}), forged: func(der []byte) []string {
				return []string{"X-Client-Cert-Leaf", byteSequence(der), "X-Client-Cert-Present", "true",
					"X-Client-Cert-Chain-Verified", "true", "X-Client-Cert-Error", ""}
			}, status: 200},
		{platform: "Google Cloud ALB", mistake: "the same, and a custom header is a secret", secret: true,
			format: proxy.GoogleCloud(proxy.GoogleCloudHeaders{}), forged: func(der []byte) []string {
				return []string{"X-Client-Cert-Leaf", byteSequence(der), "X-Client-Cert-Present", "true",
					"X-Client-Cert-Chain-Verified", "true", "X-Client-Cert-Error", ""}
			}, status: 400},
		{platform: "IIS with ARR", mistake: "a site that ignores certificates, and the client's header passes", format: proxy.IISARR(),
			forged: base64DER("X-ARR-ClientCert"), status: 200},
		{platform: "Kong", mistake: "no plugin that removes `X-Client-Cert*`", format: proxy.Kong(), forged: escaped(cert), status: 200},
		{platform: "Linkerd", mistake: "its name for the caller is taken for a certificate", format: proxy.RFC9440(),
			forged: func([]byte) []string {
				return []string{"l5d-client-id", "owner.ns.serviceaccount.identity.linkerd.cluster.local"}
			},
			status: 401},
		{platform: "OpenShift router", mistake: "a route for plain HTTP, before the fix of CVE-2026-46579",
			format: proxy.HAProxy("X-SSL-Client-DER", "X-SSL-Client-Verify"),
			forged: base64DER("X-SSL-Client-DER", "X-SSL-Client-Verify", "0"), status: 200},
		{platform: "any", mistake: "only the hash of the certificate is forwarded", format: proxy.CloudflareLegacy(),
			forged: func(der []byte) []string {
				return []string{"Cf-Client-Cert-Sha256", strings.TrimPrefix(hash(der), "Hash=")}
			},
			status: 400},
	}
}

// What popauth does where a platform lets through what a thief has forged: who has the owner's token and public certificate, and not
// his key. Those that popauth can't tell are the thief's, and the page says so.
func TestPlatformTraps(t *testing.T) {
	l := lab.New(t)
	owner, thief := l.Owner.Certificate.Certificate[0], l.Thief.Certificate.Certificate[0]
	page := platformsPage(t)
	for _, tt := range traps() {
		t.Run(tt.platform+" "+tt.mistake, func(t *testing.T) {
			trust := []proxy.Trust{proxy.TrustPeers(lab.ProxyNet)}
			if tt.secret {
				trust = append(trust, proxy.TrustSecret("X-Proxy-Secret", platformSecret))
			}
			guard := l.Guard(func(o *popauth.Options) { o.Certificate = lab.ByProxy(tt.format, trust...) })
			r := lab.ViaProxy(l.Bound(), tt.forged(owner)...)
			for i, name := range tt.thiefs {
				value := map[int]string{0: b64(thief), 1: "0"}[i]
				if strings.HasPrefix(name, "X-Amzn") {
					value = percentPEM(thief)
				}
				r.Header.Add(name, value)
			}
			got := lab.Send(guard.Confirm, r)
			if got.Status != tt.status || got.Ran != (tt.status == http.StatusOK) {
				t.Errorf("got %d, ran %t, want %d", got.Status, got.Ran, tt.status)
			}
			what := tt.mistake
			if tt.status == http.StatusOK {
				what += ": **popauth can't tell**"
			}
			if row := "| " + tt.platform + " | " + what + " | " + strconv.Itoa(tt.status) + " |\n"; !strings.Contains(page, row) {
				t.Errorf("docs/platforms.md: want the row %s", row)
			}
		})
	}
	_, table, _ := strings.Cut(page, "<!-- platform traps -->\n")
	table, _, _ = strings.Cut(table, "<!-- end -->")
	if got := strings.Count(table, "\n") - 2; got != len(traps()) {
		t.Errorf("docs/platforms.md: got %d traps, want %d", got, len(traps()))
	}
}
