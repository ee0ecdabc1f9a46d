package proxies_test

import (
	"crypto/tls"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// ofPage is what docs/proxies.md has for an API behind nginx, with the address of a proxy on loopback.
func ofPage(secret string) popauth.Options {
	// as clients call the API: nginx asks it under another name, by http
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	source, err := proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", secret))
	if err != nil {
		log.Fatal(err)
	}
	options := popauth.Options{ // …
		Certificate: source,
		Confirmers:  []popauth.Confirmer{popauth.MutualTLS{}, proofs}, // certificate-bound and DPoP-bound tokens
	}
	return options
}

// lines are those of a text without their indentation.
func lines(text string) (all []string) {
	for line := range strings.Lines(text) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// What docs/proxies.md has for an API behind nginx is what compiles here, and what TestPageBehindNginx runs.
func TestPageIsWhatRuns(t *testing.T) {
	page, err := os.ReadFile("../../docs/proxies.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("nginxpage_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, snippet, ok := strings.Cut(string(page), "<!-- behind nginx -->\n```go\n")
	snippet, _, closed := strings.Cut(snippet, "```")
	if !ok || !closed {
		t.Fatal("docs/proxies.md has no snippet behind nginx")
	}
	_, body, _ := strings.Cut(string(source), "func ofPage(secret string) popauth.Options {\n")
	body, _, _ = strings.Cut(body, "\treturn options\n")
	want := lines(strings.ReplaceAll(body, "127.0.0.1/32", "10.0.4.7/32"))
	if got := lines(snippet); !slices.Equal(got, want) {
		t.Errorf("docs/proxies.md: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Owners by certificate and by DPoP pass nginx as it is shipped. Without BaseURL no proof fits, whoever made it.
func TestPageBehindNginx(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	own, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		t.Fatal(err)
	}
	without := ofPage(secret)
	without.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, own}
	for _, tt := range []struct {
		name    string
		options popauth.Options
		proof   int
	}{
		{name: "as docs/proxies.md has it", options: ofPage(secret), proof: http.StatusOK},
		{name: "without BaseURL", options: without, proof: http.StatusUnauthorized},
	} {
		o := c.issuer.Options()
		o.Certificate, o.Confirmers = tt.options.Certificate, tt.options.Confirmers
		guard, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		spy := &popauthtest.Spy{}
		api := httptest.NewUnstartedServer(guard.Confirm(spy))
		api.Config.ConnContext = proxy.ConnContext
		api.Start()
		t.Cleanup(api.Close)
		l := &lane{cast: c, kind: kinds[0]}
		l.start(t, api.Listener.Addr().String(), "")

		key := popauthtest.NewProofKey(t, "ES256")
		bound := c.issuer.Token(key.Bound())
		for _, r := range []struct {
			caller string
			as     *popauthtest.Client
			header http.Header
			want   int
		}{
			{caller: "owner by certificate", as: c.owner, header: http.Header{"Authorization": {"Bearer " + c.token(c.owner)}},
				want: http.StatusOK},
			{caller: "owner by DPoP", want: tt.proof, header: http.Header{
				"Authorization": {"DPoP " + bound}, "Dpop": {key.Proof("GET", "https://api.example.com/orders", bound)},
			}},
			{caller: "thief with a proof for another path", want: http.StatusUnauthorized, header: http.Header{
				"Authorization": {"DPoP " + bound}, "Dpop": {key.Proof("GET", "https://api.example.com/other", bound)},
			}},
		} {
			ran := spy.Ran()
			got := l.status(t, r.as, r.header)
			if got != r.want || (spy.Ran() > ran) != (r.want == http.StatusOK) {
				t.Errorf("%s, %s: got %d, and the handler ran %d times; want %d", tt.name, r.caller, got, spy.Ran()-ran, r.want)
			}
		}
	}
}

// status asks for /orders through the proxy.
func (l *lane) status(t *testing.T, as *popauthtest.Client, header http.Header) int {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: l.authority.Pool(), MinVersion: tls.VersionTLS12}
	if as != nil {
		config.Certificates = []tls.Certificate{as.Certificate}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "https://"+l.front.Address+"/orders", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
