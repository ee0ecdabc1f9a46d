package proxies_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/proxy"
)

// written are the sites whose configurations are shipped, with the values that stand for variables there.
var written = []struct {
	file  string
	head  string // before what the Site writes
	site  proxy.Site
	write func(proxy.Site) (string, error)
	vars  []string
}{
	{
		file: "nginx.conf", head: "# Replace the four ${…}, by hand or: envsubst '$LISTEN $API $CERTS $PROXY_SECRET' <nginx.conf\n",
		site: proxy.Site{
			Format: proxy.Nginx(sslNames[0], sslNames[1]), Listen: "65535", API: []string{"api.invalid:1"}, Clients: clientsCA,
		},
		write: proxy.Site.Nginx, vars: []string{"65535", "${LISTEN}", "api.invalid:1", "${API}"},
	},
	{
		file: "envoy.yaml", head: "# Replace the six ${…}, by hand or:\n" +
			"# envsubst '$LISTEN_HOST $LISTEN_PORT $API_HOST $API_PORT $CERTS $PROXY_SECRET' <envoy.yaml\n",
		site:  proxy.Site{Format: proxy.Envoy(), Listen: "192.0.2.1:65535", API: []string{"api.invalid:65534"}},
		write: proxy.Site.Envoy,
		vars:  []string{"192.0.2.1", "${LISTEN_HOST}", "65535", "${LISTEN_PORT}", "api.invalid", "${API_HOST}", "65534", "${API_PORT}"},
	},
	{
		file: "haproxy.cfg", head: haproxyHead,
		site: proxy.Site{
			Format: proxy.HAProxy(sslNames[0], sslNames[1]), Listen: "192.0.2.1:65535", API: []string{"api.invalid:1"}, Clients: clientsCA,
			Certificate: "/certs/server.pem",
		},
		write: proxy.Site.HAProxy, vars: []string{"192.0.2.1:65535", "${LISTEN}", "api.invalid:1", "${API}"},
	},
	{
		file: "haproxy-rfc9440.cfg", head: haproxyHead,
		site: proxy.Site{
			Format: proxy.RFC9440(), Listen: "192.0.2.1:65535", API: []string{"api.invalid:1"}, Clients: clientsCA,
			Certificate: "/certs/server.pem",
		},
		write: proxy.Site.HAProxy, vars: []string{"192.0.2.1:65535", "${LISTEN}", "api.invalid:1", "${API}"},
	},
	{
		file: "apache.conf", head: "# The four ${…} come from the environment of httpd (on Debian /etc/apache2/envvars) or from Define.\n",
		site: proxy.Site{
			Format: proxy.Apache(sslNames[0], sslNames[1]), Listen: "192.0.2.1:65535", API: []string{"api.invalid:1"}, Clients: clientsCA,
		},
		write: proxy.Site.Apache, vars: []string{"192.0.2.1:65535", "${LISTEN}", "api.invalid:1", "${API}"},
	},
}

const haproxyHead = "# The four ${…} come from the environment of haproxy.\n"

const clientsCA = "/certs/clients-ca.crt"

// The shipped files are what a Site writes.
func TestShippedIsWritten(t *testing.T) {
	for _, tt := range written {
		s := tt.site
		s.SecretHeader, s.Secret, s.Key = "X-Proxy-Secret", "<the proxy's secret>", s.Certificate
		if s.Certificate == "" {
			s.Certificate, s.Key = "/certs/server.crt", "/certs/server.key"
		}
		text, err := tt.write(s)
		if err != nil {
			t.Fatal(err)
		}
		text = tt.head + "# Or have proxy.Site write it, with your values.\n#\n" +
			strings.NewReplacer(append(tt.vars, "<the proxy's secret>", "${PROXY_SECRET}", "/certs/", "${CERTS}/")...).Replace(text)
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

// oddFiles writes the files of a proxy into a directory whose name means something in a configuration.
func oddFiles(t *testing.T, c *cast, server tls.Certificate) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), `a b";{#'\`)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, der := range server.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for name, content := range map[string][]byte{
		"crt": chain, "key": keyPEM, "crt.key": keyPEM, "ca": c.clients,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// oddText is a text of printable characters but the dollar sign, with those that mean something in a configuration more often.
func oddText(r *rand.Rand) string {
	b := []byte("x")
	for len(b) < 40 {
		c := byte(' ' + r.IntN('~'-' '+1))
		if r.IntN(2) == 0 {
			c = "\\\"'{};# "[r.IntN(8)]
		}
		if c != '$' {
			b = append(b, c)
		}
	}
	return string(append(b, 'x'))
}

func randomName(r *rand.Rand) string {
	return fmt.Sprintf("X-%c%d-Cert%c", 'A'+rune(r.IntN(26)), r.IntN(1000), 'a'+rune(r.IntN(26)))
}

// What a Site writes for options of all kinds is run as it is: the owner passes, a thief and a forger don't.
func TestWrittenNginx(t *testing.T) {
	need(t, "nginx")
	c := newCast(t)
	server := c.authority.Server()
	dir := oddFiles(t, c, server)
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1)) // the same each time
			cert, verify, header, hidden := randomName(r), randomName(r)+"V", randomName(r)+"S", oddText(r)
			k := kinds[0]
			k.format, k.names = proxy.Nginx(cert, verify), []string{cert, verify}
			owner := "200 verified"
			switch seed % 3 {
			case 1:
				k.format, owner = k.format.WithoutVerdict(), "200"
			case 2:
				k.format, cert, verify = proxy.IngressNginx(), "ssl-client-cert", "ssl-client-verify"
			}
			l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret(header, hidden))
			text, err := proxy.Site{
				Format: k.format, SecretHeader: header, Secret: hidden, Listen: "127.0.0.1:65535",
				API: []string{l.api.Listener.Addr().String()}, Certificate: dir + "/crt", Key: dir + "/key", Clients: dir + "/ca",
			}.Nginx()
			if err != nil {
				t.Fatal(err)
			}
			l.front, err = proxies.Start("nginx", proxies.Settings{
				Server: server, Configuration: strings.Replace(text, "127.0.0.1:65535", "${LISTEN}", 1),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.front.Stop)
			forged := []field{{cert, escaped(c.owner.Certificate.Certificate[0])}, {verify, "SUCCESS"}, {header, guessed}}
			token := field{"Authorization", "Bearer " + c.token(c.owner)}
			for _, spelled := range []func(string) string{
				func(s string) string { return s }, strings.ToLower, oddCase, hyphensTo("_"), hyphensTo("."), hyphensTo("~"),
			} {
				lines := append(respelled(forged, spelled), token)
				if got, _ := l.ask(ways[1], nil, lines); got != "401" {
					t.Errorf("no certificate, %q: got %s, want 401", lines[0].name, got)
				}
				if got, _ := l.ask(ways[1], c.thief, lines); got != "401" {
					t.Errorf("another certificate, %q: got %s, want 401", lines[0].name, got)
				}
				if got, _ := l.ask(ways[1], c.owner, lines); got != owner {
					t.Errorf("the owner, %q: got %s, want %s", lines[0].name, got, owner)
				}
			}
			if got, _ := l.ask(ways[3], c.owner, []field{{"authorization", token.value}}); got != owner {
				t.Errorf("the owner, h2: got %s, want %s", got, owner)
			}
			if seen := l.seen.Load(); seen != nil {
				t.Errorf("a handler saw %s", seen)
			}
		})
	}
}
