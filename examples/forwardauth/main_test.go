package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func need(t *testing.T, proxy string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs all of 127.0.0.0/8 to be loopback")
	}
	if _, err := proxies.Find(proxy); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// The forward-auth matrix: what each request comes to, for its caller and for the API, with the configurations of
// this directory.
func TestForwardAuthMatrix(t *testing.T) {
	for proxy := range setups {
		t.Run(proxy, func(t *testing.T) {
			t.Parallel()
			need(t, proxy)
			var out bytes.Buffer
			err := run(&out, proxy)
			t.Logf("\n%s", &out)
			if err != nil || strings.Count(out.String(), "\n") < 30 {
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
		conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		proof := w.key.Proof("GET", proofFor, w.dpop, popauthtest.Claims{"nonce": w.nonce})
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\nDPoP: %s\r\nConnection: close\r\n\r\n", line, host, w.dpop, proof)
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

// Caddy refuses what it and the API would read differently, before it asks.
func TestRequestLineCaddy(t *testing.T) {
	need(t, "caddy")
	w := &world{}
	defer w.close()
	if err := w.open("caddy"); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"foo:http:/orders/x://x/close", "http:/orders/x://x/close", "/admin/users/..%2f..%2forders", "/admin/../orders",
		"/orders/..;/admin", "/orders//x", "/orders%2f..x", "/orders;a/x", `/orders\x`, "/orders/%00", "/orders/%2561"} {
		conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, w.host())
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		conn.Close()
		if answer.StatusCode != 400 || len(w.upstream.seen) > 0 {
			t.Errorf("%s: got %d, the API has seen %d, want 400", target, answer.StatusCode, len(w.upstream.seen))
		}
	}
}

// What callers see of each status that a service could answer with: the API is reached by 2xx only.
func TestStatuses(t *testing.T) {
	for _, proxy := range []string{"nginx", "caddy"} {
		need(t, proxy)
		w := &world{}
		defer w.close()
		answer := 0
		w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("X-Auth-Issuer", w.issuer.URL)
			if answer == 0 { // more than nginx has room for
				rw.Header().Set("X-Auth-Subject", strings.Repeat("a", 10<<10))
				answer = 200
			}
			rw.WriteHeader(answer)
		})
		if err := w.open(proxy); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			answer       int
			nginx, caddy string
		}{
			{200, "200 issuer", "200 issuer"}, {204, "200 issuer", "200 issuer"}, {302, "503", "302"}, {304, "503", "304"},
			{400, "400", "400"}, {401, "401", "401"}, {403, "403", "403"}, {404, "503", "404"}, {425, "425", "425"}, {429, "429", "429"},
			{431, "431", "431"}, {500, "503", "500"}, {502, "503", "502"}, {503, "503", "503"}, {0, "503", "200 issuer"},
		} {
			answer = tt.answer
			want := map[string]string{"nginx": tt.nginx, "caddy": tt.caddy}[proxy]
			got, err := w.outcome(request{})
			if got, _, _ = strings.Cut(got, ","); err != nil || got != want {
				t.Errorf("%s, %d: got %s, %v, want %s", proxy, tt.answer, got, err, want)
			}
		}
	}
}
