package proxies_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// upgrading is an API that takes every upgrade which it is offered, as h2c.NewHandler takes one.
type upgrading struct {
	mu      sync.Mutex
	offered []string
}

func (u *upgrading) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if offer := strings.Join(r.Header["Upgrade"], ", "); offer != "" {
		u.mu.Lock()
		u.offered = append(u.offered, offer)
		u.mu.Unlock()
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", offer)
		w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") // of the key below, as HAProxy checks
		w.WriteHeader(http.StatusSwitchingProtocols)
	}
}

func (u *upgrading) taken() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.offered
	u.offered = nil
	return all
}

// No API is offered a connection on which a client would write the headers of the proxy itself.
func TestNoOtherUpgrade(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			program := k.program(t)
			api := &upgrading{}
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			front, err := proxies.Start(k.proxy, proxies.Settings{
				Program: program, Static: k.static, API: server.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(),
				Clients: c.clients,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(front.Stop)
			const settings = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			if status := upgrade(t, front, c, settings+"Upgrade: websocket\r\n"); len(api.taken()) > 0 != (status == 101) ||
				status != 101 && k.proxy != "nginx" && k.proxy != "apache" {
				t.Errorf("a WebSocket: got %d", status)
			}
			for _, to := range []string{"h2c", "H2C", "websocket, h2c", "h2c, websocket", "h2c, x", "TLS/1.2", "x"} {
				for _, more := range []string{"", "Upgrade: websocket\r\n"} {
					status := upgrade(t, front, c, settings+"Upgrade: "+to+"\r\n"+more)
					for _, offer := range api.taken() {
						// Traefik removes h2c by itself, and lets others pass, on which nobody speaks HTTP.
						other := k.proxy == "traefik" && !strings.Contains(strings.ToLower(offer), "h2c")
						if !strings.EqualFold(offer, "websocket") && !other {
							t.Errorf("Upgrade: %s, %q: the API is offered %q, and the client gets %d", to, more, offer, status)
						}
					}
				}
			}
		})
	}
}

// upgrade returns the status of an answer to these lines.
func upgrade(t *testing.T, front *proxies.Proxy, c *cast, lines string) int {
	t.Helper()
	conn, err := tls.Dial("tcp", front.Address, &tls.Config{
		ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n%s\r\n", lines)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
