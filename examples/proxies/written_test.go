package proxies_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/proxy"
)

// An option set is what a Site is written from, and what its API reads.
type optionSet struct {
	site  proxy.Site
	owner string                           // the outcome of the owner's request
	lines func(certificate []byte) []field // what the proxy sends for one that it has validated
}

// A writer is a proxy for which a Site writes.
type writer struct {
	proxy  string
	write  func(proxy.Site) (string, error)
	listen [2]string // where it listens, and the variable for it
	set    func(r *rand.Rand, seed uint64, dir string) optionSet
}

var writers = []writer{
	{proxy: "envoy", write: proxy.Site.Envoy, listen: [2]string{"65535", "${LISTEN_PORT}"}, set: envoySet},
	{proxy: "haproxy", write: proxy.Site.HAProxy, listen: [2]string{"127.0.0.1:65535", "${LISTEN}"}, set: haproxySet},
	{proxy: "apache", write: proxy.Site.Apache, listen: [2]string{"127.0.0.1:65535", "${LISTEN}"}, set: apacheSet},
}

func envoySet(r *rand.Rand, _ uint64, dir string) optionSet {
	return optionSet{
		site: proxy.Site{
			Format: proxy.Envoy(), Secret: oddText(r) + `%REQ(:path)%$%`, Certificate: dir + "/crt", Key: dir + "/key",
		},
		owner: "200",
		lines: func(der []byte) []field {
			return []field{{"X-Forwarded-Client-Cert", fmt.Sprintf(`Hash=%x;Cert="%s"`, sha256.Sum256(der), escaped(der))}}
		},
	}
}

func haproxySet(r *rand.Rand, seed uint64, dir string) optionSet {
	cert, verify := randomName(r), randomName(r)+"V"
	set := optionSet{
		site: proxy.Site{
			Format: proxy.HAProxy(cert, verify), Secret: oddText(r) + `%[path]%$HOME${HOME}%`, Certificate: dir + "/crt",
			Key: dir + "/crt.key", Clients: dir + "/ca",
		},
		owner: "200 verified",
		lines: func(der []byte) []field {
			return []field{{cert, base64.StdEncoding.EncodeToString(der)}, {verify, "0"}}
		},
	}
	switch seed {
	case 1:
		set.site.Format, set.owner = set.site.Format.WithoutVerdict(), "200"
	case 2:
		set.site.Format = set.site.Format.WithChain(randomName(r) + "C")
	case 3:
		set.site.Format, set.owner = proxy.RFC9440(), "200"
		set.lines = func(der []byte) []field {
			return []field{{"Client-Cert", ":" + base64.StdEncoding.EncodeToString(der) + ":"}}
		}
	}
	return set
}

func apacheSet(r *rand.Rand, seed uint64, dir string) optionSet {
	cert, verify := randomName(r), randomName(r)+"V"
	set := optionSet{
		site: proxy.Site{
			Format: proxy.Apache(cert, verify), Secret: oddText(r) + `%{SSL_CLIENT_VERIFY}s%$HOME\n\\%`, Certificate: dir + "/crt",
			Key: dir + "/key", Clients: dir + "/ca",
		},
		owner: "200 verified",
		lines: func(der []byte) []field {
			return []field{{cert, strings.ReplaceAll(pemOf(der), "\n", " ")}, {verify, "SUCCESS"}}
		},
	}
	switch seed {
	case 1:
		set.site.Format, set.owner = set.site.Format.WithoutVerdict(), "200"
	case 2:
		set.site.Format = set.site.Format.WithChain(randomName(r)+"C", randomName(r)+"D")
	}
	return set
}

// What a Site writes for options of all kinds is run as it is: the owner passes, a thief and a forger don't, and no header reaches
// the API that names another method.
func TestWritten(t *testing.T) {
	need(t, "apache", "haproxy")
	c := newCast(t)
	server := c.authority.Server()
	dir := oddFiles(t, c, server)
	for _, w := range writers {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(w.proxy, " ", seed), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, 1)) // the same each time
				set := w.set(r, seed, dir)
				s := &set.site
				s.SecretHeader, s.Listen = randomName(r)+"S", "127.0.0.1:65535"
				k := kindOf(w.proxy)
				k.format, k.lines = s.Format, set.lines
				l := newAPI(t, c, k, nil, proxy.TrustPeers(loopback), proxy.TrustSecret(s.SecretHeader, s.Secret))
				s.API = []string{l.api.Listener.Addr().String()}
				text, err := w.write(*s)
				if err != nil {
					t.Fatal(err)
				}
				l.front, err = proxies.Start(w.proxy, proxies.Settings{
					Server: server, Configuration: strings.ReplaceAll(text, w.listen[0], w.listen[1]), Program: k.program(t),
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(l.front.Stop)
				l.tryWritten(t, set)
			})
		}
	}
}

func (l *lane) tryWritten(t *testing.T, set optionSet) {
	t.Helper()
	forged := append(l.lines(l.owner.Certificate.Certificate[0]), field{set.site.SecretHeader, guessed})
	token := field{"Authorization", "Bearer " + l.token(l.owner)}
	for _, spelled := range []func(string) string{
		func(s string) string { return s }, strings.ToLower, oddCase, hyphensTo("_"), hyphensTo("."), hyphensTo("~"),
	} {
		lines := append(respelled(forged, spelled), token)
		if got, _ := l.ask(ways[1], nil, lines); got != "401" {
			t.Errorf("no certificate, %q: got %s, want 401", lines[0].name, got)
		}
		if got, _ := l.ask(ways[1], l.thief, lines); got != "401" {
			t.Errorf("another certificate, %q: got %s, want 401", lines[0].name, got)
		}
		if got, _ := l.ask(ways[1], l.owner, lines); got != set.owner {
			t.Errorf("the owner, %q: got %s, want %s", lines[0].name, got, set.owner)
		}
	}
	if got, _ := l.ask(ways[1], l.owner, append([]field{token}, overrides...)); got != set.owner {
		t.Errorf("the owner, another method and path in headers: got %s, want %s", got, set.owner)
	}
	if got, _ := l.ask(ways[3], l.owner, []field{{"authorization", token.value}}); got != set.owner {
		t.Errorf("the owner, h2: got %s, want %s", got, set.owner)
	}
	if seen := l.seen.Load(); seen != nil {
		t.Errorf("a handler saw %s", seen)
	}
}
