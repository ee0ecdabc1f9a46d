package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Bodies that nobody reads, since the service refuses the request or the API does: the client sees the answer, its next
// request gets its own, and the proxy takes neither upstream for broken.
func TestRefusedBodies(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			second := httptest.NewServer(http.HandlerFunc(early))
			t.Cleanup(second.Close)
			address := second.Listener.Addr().String()
			_, port, _ := strings.Cut(address, ":")
			const envoy = `        - endpoint: { address: { socket_address: { address: "${API_HOST}", port_value: ${API_PORT} } } }`
			change := map[string][2]string{
				"nginx": {"	server ${API};\n", "	server ${API};\n	server " + address + ";\n"},
				"caddy": {"reverse_proxy {$API} {\n", "reverse_proxy {$API} " + address + " {\n				lb_policy round_robin\n"},
				"traefik": {`          - url: "http://${API}"`, `          - url: "http://${API}"` + "\n" + `          - url: "http://` +
					address + `"`},
				"envoy": {envoy, envoy + "\n" + strings.NewReplacer("${API_HOST}", "127.0.0.1", "${API_PORT}", port).
					Replace(envoy)},
			}[l.proxy]
			w := opened(t, l, func(w *world) {
				if !strings.Contains(w.setup.configuration, change[0]) {
					t.Fatalf("no %q", change[0])
				}
				w.setup.configuration = strings.Replace(w.setup.configuration, change[0], change[1], 1)
				w.api = http.HandlerFunc(early)
				w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer good" {
						rw.WriteHeader(http.StatusUnauthorized)
					}
					rw.Header().Set("X-Auth-Issuer", w.issuer.URL)
				})
			})
			for _, http2 := range []bool{false, true} {
				refusedBodies(t, w, http2, l.proxy == "caddy")
			}
		})
	}
}

// early is an API that reads no body.
func early(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
}

// refusedBodies sends them. Caddy ends the connection now and then, by its Caddyfile over HTTP/1.1, which a client that is
// still sending may see instead of the API's answer.
func refusedBodies(t *testing.T, w *world, http2, closes bool) {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: w.authority.Pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: http2,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ask := func(method, token string, body []byte) string {
		r, err := http.NewRequest(method, "https://"+w.host()+"/orders", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return fmt.Sprint(answer.StatusCode)
	}
	requests := bytes.Repeat([]byte("GET /others HTTP/1.1\r\nHost: a\r\n\r\n"), 1<<20/32)
	for _, size := range []int{0, 1 << 10, 100 << 10, 300 << 10, 900 << 10, 1 << 20} {
		for range 5 {
			for _, tt := range []struct {
				method, token, want string
				body                []byte
			}{
				{method: "POST", token: "none", body: requests[:size], want: "401"}, {method: "GET", token: "good", want: "200"},
				{method: "POST", token: "good", body: requests[:size], want: "422"}, {method: "GET", token: "good", want: "200"},
				{method: "GET", token: "good", want: "200"},
			} {
				got := ask(tt.method, tt.token, tt.body)
				ended := strings.Contains(got, "write") || strings.HasSuffix(got, "unexpected EOF")
				if got != tt.want && !(ended && closes && size > 256<<10 && tt.method == "POST") {
					t.Errorf("HTTP/2 %t, %s with token %s and %d bytes: got %s, want %s", http2, tt.method, tt.token, len(tt.body), got,
						tt.want)
				}
			}
		}
	}
}
