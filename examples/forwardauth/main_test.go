package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func need(t *testing.T, ingress string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 to be loopback")
	}
	if _, err := proxies.Find(ingress); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// A lane is a proxy of the system, or a current one.
type lane struct {
	name, proxy string
	wheel       counterpart.Wheel // zero: of the system
}

var lanes = []lane{
	{name: "nginx", proxy: "nginx"}, {name: "caddy", proxy: "caddy"}, {name: "caddy 2.11", proxy: "caddy", wheel: counterpart.Caddy()},
	{name: "traefik", proxy: "traefik", wheel: counterpart.Traefik()}, {name: "envoy", proxy: "envoy", wheel: counterpart.Envoy()},
}

// program is the proxy's, or empty for the one of the system; the test is skipped without it.
func (l lane) program(t *testing.T) string {
	t.Helper()
	if l.wheel == (counterpart.Wheel{}) || runtime.GOOS != "linux" {
		need(t, l.proxy)
		return ""
	}
	return l.wheel.Path(t)
}

// opened returns what the story needs, behind a proxy and with changes to its setup.
func opened(t *testing.T, l lane, change func(*world)) *world {
	t.Helper()
	w := &world{program: l.program(t), setup: setups[l.proxy]}
	t.Cleanup(w.close)
	if change != nil {
		change(w)
	}
	if err := w.open(l.proxy); err != nil {
		t.Fatal(err)
	}
	return w
}

// The forward-auth matrix: what each request comes to, for its caller and for the API, with the configurations of
// this directory.
func TestForwardAuthMatrix(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(&out, l.proxy, l.program(t))
			t.Logf("\n%s", &out)
			if err != nil || strings.Count(out.String(), "\n") < 37 {
				t.Error(err)
			}
		})
	}
}

// nginx chooses the server by the host of an absolute request line, so a proof must be for that one, whatever Host says.
func TestRequestLine(t *testing.T) {
	need(t, "nginx")
	w := &world{}
	defer w.close()
	if err := w.open("nginx"); err != nil {
		t.Fatal(err)
	}
	if got, err := w.outcome(w.rows()[1]); err != nil || w.nonce == "" {
		t.Fatal(got, err)
	}
	ask := func(line, host, proofFor string) int {
		t.Helper()
		conn, err := tls.Dial("tcp", w.proxy.Address,
			&tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		proof := w.key.Proof("GET", proofFor, w.dpop, popauthtest.Claims{"nonce": w.nonce})
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\nDPoP: %s\r\nConnection: close\r\n\r\n", line,
			host, w.dpop, proof)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	own := "https://" + w.host()
	_, port, _ := strings.Cut(w.host(), ":")
	for _, tt := range []struct {
		line, host, proofFor string
		want                 int
	}{
		{"/orders/a", w.host(), own + "/orders/a", 200},
		{own + "/orders/b", w.host(), own + "/orders/b", 200},
		{"https://other.example/orders/c", w.host(), own + "/orders/c", 401},
		{"https://other.example/orders/d", w.host(), "https://other.example:" + port + "/orders/d", 200},
		{own + "/orders/e", "other.example", "https://other.example:" + port + "/orders/e", 401},
		{"/orders/../orders/f", w.host(), own + "/orders/f", 400},
		{"/admin/users/..%2f..%2forders", w.host(), own + "/orders", 400},
		{"/orders/..%2fadmin", w.host(), own + "/admin", 400},
		{"/orders/..;/admin", w.host(), own + "/orders/..;/admin", 400},
		{"/orders%2f..x", w.host(), own + "/orders%2f..x", 400},
		{"/orders;a/x", w.host(), own + "/orders;a/x", 400},
		{"/orders/%61", w.host(), own + "/orders/a", 400},
		{"/orders-internal", w.host(), own + "/orders-internal", 404},
		{"/orders", w.host(), own + "/orders", 200},
		{"/orders/%2e%2e/admin", w.host(), own + "/orders/%2e%2e/admin", 400},
		{"/orders/h#i", w.host(), own + "/orders/h", 400},
		{"//orders/g", w.host(), own + "//orders/g", 400},
	} {
		before := len(w.upstream.seen)
		got := ask(tt.line, tt.host, tt.proofFor)
		if got != tt.want || (len(w.upstream.seen) > before) != (tt.want == 200) {
			t.Errorf("%s, Host %s, proof for %s: got %d, want %d", tt.line, tt.host, tt.proofFor, got, tt.want)
		}
	}
}

// The proxies refuse what they and the API would read differently, before they ask or when the service has.
func TestRequestLineOthers(t *testing.T) {
	for _, l := range lanes[1:] {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			refuseLines(t, opened(t, l, nil))
		})
	}
}

func refuseLines(t *testing.T, w *world) {
	t.Helper()
	for _, target := range []string{"foo:http:/orders/x://x/close", "http:/orders/x://x/close", "/admin/users/..%2f..%2forders",
		"/admin/../orders",
		"/orders/..;/admin", "/orders//x", "/orders%2f..x", "/orders;a/x", `/orders\x`, "/orders/%00", "/orders/%2561"} {
		conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(),
			Certificates: []tls.Certificate{w.owner.Certificate}, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", target, w.host(),
			w.token)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		conn.Close()
		status, seen := answer.StatusCode, w.upstream.targets
		w.upstream.targets = nil
		// Traefik puts the path in order before it chooses, asks and forwards, so that there is one reading, or none.
		if w.setup.certificate.Name() == "traefik" {
			if status != 400 && status != 404 && status != 200 || status == 200 && seen[0] != path.Clean(seen[0]) || len(seen) > 1 {
				t.Errorf("%s: got %d, the API has seen %q", target, status, seen)
			}
			t.Logf("%s: %d %q", target, status, seen)
			continue
		}
		if status != 400 || len(seen) > 0 {
			t.Errorf("%s: got %d, the API has seen %q, want 400", target, status, seen)
		}
	}
}
