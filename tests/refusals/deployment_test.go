package refusals_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// deploymentRow is what a trusted proxy sends that its format never has: a mistake in a configuration, not the client's.
type deploymentRow struct {
	fault  string
	format proxy.Format
	header http.Header
	status int
	says   []string
}

// sent are the headers of pairs of name and value.
func sent(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// deploymentRows are those of every format. The certificate is the token's, so that whatever reads it would let the request pass.
func deploymentRows(der []byte) []deploymentRow {
	escaped := strings.ReplaceAll(url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))), "+", "%20")
	plain := base64.StdEncoding.EncodeToString(der)
	sum := sha256.Sum256(der)
	element := "Hash=" + hex.EncodeToString(sum[:]) + `;Cert="` + escaped + `"`
	appended := func(uri string) string { return "By=x;Hash=" + hex.EncodeToString(sum[:]) + `;Subject="";URI=` + uri }
	const gateway, other = "spiffe://cluster.local/ns/istio-system/sa/gateway", "spiffe://cluster.local/ns/shop/sa/batch"
	hops := proxy.Envoy().WithHops(gateway)
	nginx, apache, haproxy := proxy.Nginx("X-Cert", "X-Verify"), proxy.Apache("X-Cert", "X-Verify"), proxy.HAProxy("X-Cert", "X-Verify")
	google := proxy.GoogleCloud(proxy.GoogleCloudHeaders{})

	var rows []deploymentRow
	row := func(fault string, f proxy.Format, status int, header http.Header, says ...string) {
		rows = append(rows, deploymentRow{f.Name() + ": " + fault, f, header, status, says})
	}
	// Nothing that the format reads, and what another proxy's would.
	for _, f := range []proxy.Format{
		proxy.RFC9440(), proxy.RFC9440Template(), nginx, proxy.IngressNginx(), apache, haproxy, proxy.Traefik(), proxy.Caddy("X-Cert"),
		proxy.AWSALBVerify(), proxy.AWSALBPassthrough(), google, proxy.Cloudflare(), proxy.CloudflareLegacy(), proxy.AzureAppService(),
		proxy.IISARR(), proxy.Kong(),
	} {
		row("Envoy's header", f, 401, sent("X-Forwarded-Client-Cert", element), "has sent none of "+f.Headers()[0],
			"the request has X-Forwarded-Client-Cert, which Options.Certificate doesn't read")
	}
	for _, f := range []proxy.Format{proxy.Envoy(), proxy.CloudFoundry()} {
		row("the header of RFC 9440", f, 401, sent("Client-Cert", ":"+plain+":"), "has sent none of X-Forwarded-Client-Cert",
			"the request has Client-Cert, which Options.Certificate doesn't read")
	}
	row("Envoy's form of its header", proxy.CloudFoundry(), 400, sent("X-Forwarded-Client-Cert", element), "X-Forwarded-Client-Cert")
	row("Cloud Foundry's form of its header", proxy.Envoy(), 400, sent("X-Forwarded-Client-Cert", plain), "X-Forwarded-Client-Cert")
	row("passthrough", proxy.AWSALBVerify(), 400, sent("X-Amzn-Mtls-Clientcert", escaped), "in another mode")
	row("verify", proxy.AWSALBPassthrough(), 400, sent("X-Amzn-Mtls-Clientcert-Leaf", escaped), "in another mode")

	// No verdict.
	row("no verdict", nginx, 400, sent("X-Cert", escaped), "X-Verify: verdict missing")
	row("no verdict", proxy.IngressNginx(), 400, sent("Ssl-Client-Cert", escaped), "Ssl-Client-Verify: verdict missing")
	row("no verdict", haproxy, 400, sent("X-Cert", plain), "X-Verify: verdict missing")
	row("no verdict", apache, 400, sent("X-Cert", "(null)"), "X-Verify: verdict missing")
	row("no verdict", google, 400, sent("X-Client-Cert-Leaf", ":"+plain+":"), "X-Client-Cert-Present: verdict missing")
	row("a verdict alone", nginx, 400, sent("X-Verify", "SUCCESS"), "verdict without a certificate")
	row("a verdict alone", proxy.IngressNginx(), 400, sent("Ssl-Client-Verify", "FAILED:x"), "verdict without a certificate")

	// What is said of a certificate, without it.
	const untold = "tells of a certificate, and "
	row("info for pem", proxy.Traefik(), 400, sent("X-Forwarded-Tls-Client-Cert-Info", "Subject%3D%22CN%3Dx%22"),
		"X-Forwarded-Tls-Client-Cert-Info: "+untold+"X-Forwarded-Tls-Client-Cert has none")
	row("names alone", proxy.IngressNginx().WithoutVerdict(), 400, sent("Ssl-Client-Subject-Dn", "CN=x"),
		untold+"Ssl-Client-Cert has none")
	row("a serial number alone", proxy.Kong(), 400, sent("X-Client-Cert-Serial", "1"), untold+"X-Client-Cert has none")
	row("a subject alone", proxy.AWSALBVerify(), 400, sent("X-Amzn-Mtls-Clientcert-Subject", "CN=x"), untold)
	row("a subject alone", proxy.AWSALBPassthrough(), 400, sent("X-Amzn-Mtls-Clientcert-Subject", "CN=x"), untold)
	row("a fingerprint alone", proxy.CloudflareLegacy(), 400, sent("Cf-Client-Cert-Sha256", "x"), "hash of a certificate, and no ")
	row("a hash alone", proxy.Envoy(), 400, sent("X-Forwarded-Client-Cert", appended(gateway)), "element without a certificate")

	// Other hops than those that are named.
	row("two elements, no hops", proxy.Envoy(), 400, sent("X-Forwarded-Client-Cert", element+","+appended(gateway)),
		"more than one element", "WithHops")
	row("no header", hops, 403, nil, "want elements of", gateway, "got no header")
	row("the caller's alone", hops, 403, sent("X-Forwarded-Client-Cert", element), "got elements of one without URI")
	row("another's at the end", hops, 403, sent("X-Forwarded-Client-Cert", element+","+appended(other)), "got elements of", other)
	row("too few", proxy.Envoy().WithHops(gateway, other), 403, sent("X-Forwarded-Client-Cert", appended(gateway)),
		"got elements of", gateway)
	row("too many", hops, 403, sent("X-Forwarded-Client-Cert", element+","+appended(other)+","+appended(gateway)),
		"2 elements before these")
	return rows
}

// A flood of such requests writes a bounded number of lines. Each says what has come and what to change, and none that the client has
// shown no certificate.
func TestDeploymentSaysSo(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	for _, row := range deploymentRows(l.Owner.Certificate.Certificate[0]) {
		for perMinute, want := range map[int]int{0: 60, 1: 1} {
			var log bytes.Buffer
			g := l.Guard(func(o *popauth.Options) {
				o.Logger, o.LogPerMinute = slog.New(slog.NewTextHandler(&log, nil)), perMinute
				o.Certificate = lab.ByProxy(row.format, proxy.TrustPeers(netip.MustParsePrefix("10.0.4.7/32")))
			})
			log.Reset()
			spy := &popauthtest.Spy{}
			for range 70 {
				r := httptest.NewRequest(http.MethodGet, "http://api.example.com/orders", nil)
				r.RemoteAddr = "10.0.4.7:41234"
				r.Header = row.header.Clone()
				if r.Header == nil {
					r.Header = http.Header{}
				}
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				g.Confirm(spy).ServeHTTP(w, r)
				if w.Code != row.status {
					t.Fatalf("%s: got %d, want %d", row.fault, w.Code, row.status)
				}
			}
			if spy.Ran() > 0 {
				t.Errorf("%s: the handler ran", row.fault)
			}
			lines := strings.Split(strings.TrimSpace(log.String()), "\n")
			if len(lines) != want {
				t.Errorf("%s: %d lines a minute, want %d", row.fault, len(lines), want)
			}
			checkLine(t, row.fault, lines[0]+"\n", row.says)
			if strings.Contains(lines[0], "its client has shown none") {
				t.Errorf("%s: the client is blamed: %s", row.fault, lines[0])
			}
		}
	}
}
