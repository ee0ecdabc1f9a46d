package proxies_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/proxy"
)

// Both files are what a Site writes.
func TestTraefikFilesAreWritten(t *testing.T) {
	static, dynamic, err := proxy.Site{
		Format: proxy.Traefik(), SecretHeader: "X-Proxy-Secret", Secret: "<the proxy's secret>", Listen: "192.0.2.1:65535",
		API: []string{"api.invalid:1"}, Certificate: "/certs/server.crt", Key: "/certs/server.key", Hosts: []string{"host.invalid"},
	}.Traefik("/conf/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const or = "# Or have proxy.Site write both, with your values.\n#\n"
	for _, tt := range []struct {
		file, text string
		vars       []string
	}{
		{
			file: "traefik-static.yaml", vars: []string{"192.0.2.1:65535", "${LISTEN}", "/conf/", "${CONF}/"},
			text: "# Replace the two ${…}, by hand or: envsubst '$LISTEN $CONF' <traefik-static.yaml\n" + or + static,
		},
		{
			file: "traefik.yaml",
			vars: []string{
				"host.invalid", "${HOST}", "api.invalid:1", "${API}", "/certs/", "${CERTS}/", "<the proxy's secret>", "${PROXY_SECRET}",
			},
			text: "# Replace the four ${…}, by hand or: envsubst '$HOST $API $CERTS $PROXY_SECRET' <traefik.yaml\n" + or + dynamic,
		},
	} {
		text := strings.NewReplacer(tt.vars...).Replace(tt.text)
		shipped, err := os.ReadFile(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if text == string(shipped) {
			continue
		}
		if *update {
			if err := os.WriteFile(tt.file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("%s is something else; after a change that is meant: go test ./examples/proxies -run Written -update", tt.file)
	}
}

// What a Site writes for options of all kinds is run as it is: the owner passes, a thief and a forger don't, and no header reaches
// the API that names another method.
func TestWrittenTraefik(t *testing.T) {
	need(t)
	c := newCast(t)
	server := c.authority.Server()
	dir := oddFiles(t, c, server)
	k := kindOf("traefik")
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 3)) // the same each time
			s := proxy.Site{
				Format: k.format, SecretHeader: randomName(r) + "S", Secret: oddText(r) + `{{env "HOME"}}${HOME}$HOME%{{`,
				Listen: "127.0.0.1:65535", Certificate: dir + "/crt", Key: dir + "/key",
			}
			set := optionSet{owner: "200"}
			listen := [2]string{"127.0.0.1:65535", "${LISTEN}"}
			selfSigned, elsewhere := "200", "200"
			if seed%2 == 1 {
				s.Listen, listen = "65535", [2]string{"65535", "${LISTEN_PORT}"}
				s.Clients, selfSigned = dir+"/ca", "closed"
				s.Hosts, elsewhere = []string{"api.example", "localhost"}, "404"
			}
			l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret(s.SecretHeader, s.Secret))
			s.API = []string{l.api.Listener.Addr().String()}
			set.site = s
			file := fmt.Sprintf("%s/{{.%d}} x.yaml", dir, seed)
			static, dynamic, err := s.Traefik(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(dynamic), 0o600); err != nil {
				t.Fatal(err)
			}
			l.front, err = proxies.Start("traefik", proxies.Settings{
				Program: k.program(t), Server: server, Static: strings.Replace(static, listen[0], listen[1], 1),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.front.Stop)
			l.tryWritten(t, set)
			token := field{"Authorization", "Bearer " + c.token(c.selfSigned)}
			if got, _ := l.ask(ways[1], c.selfSigned, []field{token}); got != selfSigned {
				t.Errorf("a self-signed certificate: got %s, want %s", got, selfSigned)
			}
			if got := l.atEvil(t); got != elsewhere {
				t.Errorf("the owner, for another host: got %s, want %s", got, elsewhere)
			}
			if got, want := l.named.Load(), s.Clients != ""; got != want {
				t.Errorf("names authorities to callers: got %t, want %t", got, want)
			}
		})
	}
}

// atEvil is the outcome of the owner's request for a host of his choice.
func (l *lane) atEvil(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", l.front.Address, l.config(ways[1], l.owner))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := l.spy.Ran()
	r, err := exchangeFor(conn, "https://evil.example/orders", []field{{"Authorization", "Bearer " + l.token(l.owner)}})
	return l.judge(r, err, before)
}

// Whatever a secret is, and the files are called, Traefik reads them as they are. It reads its file anew whenever that is written.
func TestTraefikQuotes(t *testing.T) {
	need(t)
	c := newCast(t)
	k := kindOf("traefik")
	server := c.authority.Server()
	dir, api := oddFiles(t, c, server), newRecorder(t)
	file := dir + "/api.yaml"
	var front *proxies.Proxy
	r := rand.New(rand.NewPCG(1, 4))
	for n := range 60 {
		hidden := string(rune('a'+n%26)) + strings.NewReplacer("; ", "{{", "' ", "{{/*").Replace(oddText(r)) + `\x7d`
		certificate := fmt.Sprintf("%s/%d%s", dir, n, strings.NewReplacer("/", "|", "x", "{{").Replace(oddText(r)))
		if err := os.Symlink(dir+"/crt", certificate); err != nil {
			t.Fatal(err)
		}
		static, dynamic, err := proxy.Site{
			Format: proxy.Traefik(), SecretHeader: "X-Proxy-Secret", Secret: hidden, Listen: "127.0.0.1:65535",
			API: []string{api.Listener.Addr().String()}, Certificate: certificate, Key: dir + "/key",
		}.Traefik(file)
		if err != nil {
			t.Fatal(err)
		}
		// Not in place: Traefik would read half a file.
		if err := errors.Join(os.WriteFile(dir+"/new", []byte(dynamic), 0o600), os.Rename(dir+"/new", file)); err != nil {
			t.Fatal(err)
		}
		if front == nil {
			static = strings.Replace(static, "providers:\n", "providers:\n  providersThrottleDuration: 10ms\n", 1)
			front, err = proxies.Start("traefik", proxies.Settings{
				Program: k.program(t), Server: server, Static: strings.Replace(static, "127.0.0.1:65535", "${LISTEN}", 1),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(front.Stop)
		}
		got := ""
		for deadline := time.Now().Add(5 * time.Second); got != hidden && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			h, _ := api.ask(t, c, front.Address, "http/1.1", nil, nil)
			got = h.Get("X-Proxy-Secret")
		}
		if got != hidden {
			t.Errorf("the API got %q, want %q", got, hidden)
		}
	}
}
