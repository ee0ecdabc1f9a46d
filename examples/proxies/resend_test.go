package proxies_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// dying is an API that keeps its connections, but ends one without an answer at the first request with the header Last: the handler
// has run, and the program has died.
type dying struct {
	net.Listener

	mu   sync.Mutex
	last int  // requests with the header Last
	kept bool // the first of these came on a connection that had been used before
}

func newDying(t *testing.T) *dying {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := &dying{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d
}

func (d *dying) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for used := false; ; used = true {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("Last") != "" {
			if d.count(used) == 1 {
				return
			}
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

func (d *dying) count(used bool) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	if d.last == 1 {
		d.kept = used
	}
	return d.last
}

// counts are the requests with the header Last since the last call.
func (d *dying) counts() (last int, kept bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, kept = d.last, d.kept
	d.last = 0
	return last, kept
}

// resenders are the proxies, one of them also with a change of its file.
var resenders = []struct {
	name, kind string
	change     [2]string
}{
	{name: "nginx", kind: "nginx"}, {name: "apache", kind: "apache"}, {name: "haproxy", kind: "haproxy"}, {name: "caddy", kind: "caddy"},
	{name: "caddy 2.11", kind: "caddy 2.11"}, {name: "traefik", kind: "traefik"},
	{
		name: "traefik, `maxIdleConnsPerHost: -1`", kind: "traefik",
		change: [2]string{"maxIdleConnsPerHost: 200", "maxIdleConnsPerHost: -1"},
	},
	{name: "envoy", kind: "envoy"},
}

var resent = []struct{ name, method, head, body string }{
	{name: "GET", method: "GET"},
	{name: "POST with a body", method: "POST", head: "Content-Length: 5\r\n", body: "hello"},
	{name: "POST without", method: "POST", head: "Content-Length: 0\r\n"},
	{name: "DELETE", method: "DELETE"},
	{name: "POST without, `Idempotency-Key`", method: "POST", head: "Content-Length: 0\r\nIdempotency-Key: 1\r\n"},
	{name: "POST with a body, `Idempotency-Key`", method: "POST", head: "Content-Length: 5\r\nIdempotency-Key: 1\r\n", body: "hello"},
}

// How often a request reaches an API that dies when it has run the handler, and what the client gets. What arrives twice has the same
// proof with it, which has been used by then.
func TestResends(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	var mu sync.Mutex
	got := map[string]string{}
	t.Run("", func(t *testing.T) {
		for _, column := range resenders {
			t.Run(column.name, func(t *testing.T) {
				t.Parallel()
				k, api := kindOf(column.kind), newDying(t)
				text := file(k)
				if !strings.Contains(text, column.change[0]) {
					t.Fatalf("no %q", column.change[0])
				}
				front, err := proxies.Start(k.proxy, proxies.Settings{
					Program: k.program(t), API: api.Addr().String(), Secret: secret, Server: c.authority.Server(), Clients: c.clients,
					Configuration: strings.Replace(text, column.change[0], column.change[1], 1),
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(front.Stop)
				for _, row := range resent {
					answer := c.askTwice(t, front.Address, row.method, row.head, row.body)
					last, kept := api.counts()
					if want := column.change[0] == ""; last == 0 || kept != want {
						t.Errorf("%s: got %d arrivals, on a connection that was used before %t, want %t", row.name, last, kept, want)
					}
					mu.Lock()
					got[row.name+column.name] = fmt.Sprintf("%d, %s", last, answer)
					mu.Unlock()
				}
			})
		}
	})
	table := [][]string{{"request"}}
	for _, column := range resenders {
		table[0] = append(table[0], column.name)
	}
	for _, row := range resent {
		line := []string{row.name}
		for _, column := range resenders {
			line = append(line, got[row.name+column.name])
		}
		table = append(table, line)
	}
	document(t, "resends", table)
}

// askTwice sends two requests on one connection, so that the proxy keeps one to the API, and returns the answer to the second.
func (c *cast) askTwice(t *testing.T, address, method, head, body string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{
		ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	outcome := ""
	for _, request := range []string{
		fmt.Sprintf("GET /a HTTP/1.1\r\nHost: %s\r\n\r\n", host(conn)),
		fmt.Sprintf("%s /b HTTP/1.1\r\nHost: %s\r\nLast: 1\r\n%s\r\n%s", method, host(conn), head, body),
	} {
		_, _ = io.WriteString(conn, request)
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return "closed"
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		outcome = fmt.Sprint(answer.StatusCode)
	}
	return outcome
}
