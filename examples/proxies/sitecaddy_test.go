package proxies_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/proxy"
)

const caddyHead = "# The four {$…} come from the environment of caddy; LISTEN is a site's address, such as api.example.com.\n" +
	"# Or have proxy.Site write it, with your values.\n#\n"

func TestCaddyfileIsWritten(t *testing.T) {
	text, err := proxy.Site{
		Format: proxy.Caddy(sslNames[0]), SecretHeader: "X-Proxy-Secret", Secret: "<the proxy's secret>", Listen: "65535",
		API: []string{"api.invalid:1"}, Certificate: "/certs/server.crt", Key: "/certs/server.key",
	}.Caddy()
	if err != nil {
		t.Fatal(err)
	}
	text = caddyHead + strings.NewReplacer("<the proxy's secret>", "{$PROXY_SECRET}", "https://:65535", "https://{$LISTEN}",
		"api.invalid:1", "{$API}", "/certs/", "{$CERTS}/").Replace(text)
	shipped, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if text == string(shipped) {
		return
	}
	if *update {
		if err := os.WriteFile("Caddyfile", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("Caddyfile is something else; after a change that is meant: go test ./examples/proxies -run Written -update")
}

// caddyText is an odd text that Caddy can quote.
func caddyText(r *rand.Rand) string {
	text := strings.NewReplacer("{", `"`, "}", "`").Replace(oddText(r))
	return strings.ReplaceAll(text, []string{`\`, "`"}[r.IntN(2)], "'")
}

// What a Site writes for options of all kinds is run as it is: the owner passes, a thief and a forger don't.
func TestWrittenCaddy(t *testing.T) {
	need(t, "caddy")
	c := newCast(t)
	server := c.authority.Server()
	dir := caddyFiles(t, oddFiles(t, c, server))
	for _, k := range kinds {
		if k.proxy != "caddy" {
			continue
		}
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(k.name, " ", seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 2)) // the same each time
				cert, header, hidden := randomName(r), randomName(r)+"S", caddyText(r)
				k.format, k.names = proxy.Caddy(cert), []string{cert}
				l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret(header, hidden))
				listen := []string{"127.0.0.1:65535", "65535"}[seed%2]
				text, err := proxy.Site{
					Format: k.format, SecretHeader: header, Secret: hidden, Listen: listen,
					API: []string{l.api.Listener.Addr().String()}, Certificate: dir + "/crt", Key: dir + "/key",
				}.Caddy()
				if err != nil {
					t.Fatal(err)
				}
				l.front, err = proxies.Start("caddy", proxies.Settings{
					Program: k.program(t), Server: server, Configuration: strings.Replace(text, "https://:65535", "https://{$LISTEN}", 1),
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(l.front.Stop)
				forged := []field{{cert, caddyLines(c.owner.Certificate.Certificate[0])[0].value}, {header, guessed}}
				token := field{"Authorization", "Bearer " + c.token(c.owner)}
				for _, spelled := range []func(string) string{
					func(s string) string { return s }, strings.ToLower, oddCase, hyphensTo("_"), hyphensTo("."), hyphensTo("~"),
				} {
					lines := append(respelled(append(forged, overrides...), spelled), token)
					if got, _ := l.ask(ways[1], nil, lines); got != "401" {
						t.Errorf("no certificate, %q: got %s, want 401", lines[0].name, got)
					}
					if got, _ := l.ask(ways[1], c.thief, lines); got != "401" {
						t.Errorf("another certificate, %q: got %s, want 401", lines[0].name, got)
					}
					if got, _ := l.ask(ways[1], c.owner, lines); got != "200" {
						t.Errorf("the owner, %q: got %s, want 200", lines[0].name, got)
					}
				}
				if got, _ := l.ask(ways[3], c.owner, []field{{"authorization", token.value}}); got != "200" {
					t.Errorf("the owner, h2: got %s, want 200", got)
				}
				if seen := l.seen.Load(); seen != nil {
					t.Errorf("a handler saw %s", seen)
				}
			})
		}
	}
}

// caddyFiles moves a directory to a name that Caddy can take: without braces, which stand for placeholders there.
func caddyFiles(t *testing.T, dir string) string {
	t.Helper()
	to := strings.ReplaceAll(dir, "{", "(")
	if err := os.Rename(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}
