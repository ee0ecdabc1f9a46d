package proxies_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// targets have more than one reading: a router that decodes, merges or cuts off comes to another path than one that doesn't.
var targets = []string{
	"/a/../admin", "/a/%2e%2e/admin", "//admin", "/a//b", "/a/./b", "/a/..%2fadmin", "/a%5cb", `/a\b`, "/a%00b", "/a/..;/admin", "/a%3bb",
	"/%61dmin", "/a%7eb", "/a%e4b", "/a%25b", "/a%3fb", "/a%23b", "/a#b", "/a?b;c=d", "/a?b=../c",
}

// What becomes of a target: what reaches the API, or the proxy's own answer. A proof of possession is for the one that the client
// sent, and the API compares it with the one that it gets.
func TestPaths(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	var mu sync.Mutex
	got := map[string]string{} // by target and proxy
	columns := []string{"nginx", "apache", "haproxy", "caddy", "caddy 2.11", "traefik", "envoy"}
	t.Run("", func(t *testing.T) {
		for _, name := range columns {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				k := kindOf(name)
				seen := make(chan string, 1)
				api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI }))
				t.Cleanup(api.Close)
				front, err := proxies.Start(k.proxy, proxies.Settings{
					Program: k.program(t), API: api.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(),
					Clients: c.clients,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(front.Stop)
				for _, target := range targets {
					cell := sentFor(t, c, front.Address, target, seen)
					mu.Lock()
					got[target+" "+name] = cell
					mu.Unlock()
				}
			})
		}
	})
	table := [][]string{append([]string{"the client sends"}, columns...)}
	for _, target := range targets {
		line := []string{"`" + target + "`"}
		for _, name := range columns {
			line = append(line, got[target+" "+name])
		}
		table = append(table, line)
	}
	document(t, "paths", table)
}

// sentFor asks for a target over HTTP/1.1, and returns what the API has received, or the answer of the proxy itself.
func sentFor(t *testing.T, c *cast, address, target string, seen <-chan string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{
		ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r, err := exchangeFor(conn, target, []field{{"Connection", "close"}})
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	select {
	case sent := <-seen:
		if sent == target {
			return "same"
		}
		return "`" + sent + "`"
	default:
		return fmt.Sprint(r.status)
	}
}
