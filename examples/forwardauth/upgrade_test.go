package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// lenient is an API that takes any upgrade, and any trailer.
type lenient struct {
	mu       sync.Mutex
	upgrades []string
	trailers []string
}

func (l *lenient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	l.mu.Lock()
	for name := range r.Trailer {
		l.trailers = append(l.trailers, name)
	}
	l.upgrades = append(l.upgrades, r.Header.Values("Upgrade")...)
	l.mu.Unlock()
	if to := r.Header.Get("Upgrade"); to != "" && strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nhello", to)
	}
}

func (l *lenient) seen() (upgrades, trailers []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.upgrades), slices.Clone(l.trailers)
}

// A connection is handed over for a WebSocket alone: what follows on it is asked about by nobody.
func TestOtherUpgrades(t *testing.T) {
	for _, l := range lanes {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			api := &lenient{}
			w := opened(t, l, func(w *world) { w.api, w.write = api, written(l.proxy) })
			send := func(lines, body string) int {
				conn, err := tls.Dial("tcp", w.proxy.Address, &tls.Config{ServerName: "localhost", RootCAs: w.authority.Pool(),
					Certificates: []tls.Certificate{w.owner.Certificate}, MinVersion: tls.VersionTLS12})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = fmt.Fprintf(conn, "GET /orders HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n%s", w.host(), w.token,
					lines, body)
				answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					return 0
				}
				_ = answer.Body.Close()
				return answer.StatusCode
			}
			for _, to := range []string{"h2c", "H2C", "websocket, h2c", "h2c, websocket", "TLS/1.2", "x"} {
				const offer = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nUpgrade: "
				for _, more := range []string{"", "Upgrade: websocket\r\n"} {
					before, _ := api.seen()
					got := send(offer+to+"\r\n"+more, "")
					after, _ := api.seen()
					for _, seen := range after[len(before):] {
						if seen != "websocket" {
							t.Errorf("VULNERABLE: the API is offered %s, and the client gets %d for %s, %q", seen, got, to, more)
						}
					}
				}
			}
			if got := send("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""); got != 101 {
				t.Errorf("a WebSocket: got %d, want 101", got)
			}
			send("Transfer-Encoding: chunked\r\nTrailer: X-Auth-Subject, X-Auth_Issuer\r\nConnection: close\r\n",
				"1\r\nx\r\n0\r\nX-Auth-Subject: evil\r\nX-Auth_Issuer: evil\r\n\r\n")
			if _, trailers := api.seen(); l.proxy == "nginx" && len(trailers) > 0 {
				t.Errorf("the API sees trailers: %q", trailers)
			} else {
				t.Logf("the API sees trailers: %q", trailers) // docs/forwardauth.md says so
			}
		})
	}
}
