package proxies_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/examples/proxies"
)

// Caddy 2.11 and Traefik ask for an API that isn't on their own machine by the proxy that their environment names: that gets the
// secret and the certificates. docs/proxies.md says so, and that NO_PROXY helps.
func TestEnvironment(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		for _, tt := range []struct{ name, noProxy string }{{"HTTP_PROXY", ""}, {"the same, and NO_PROXY", "192.0.2.1"}} {
			t.Run(k.name+" "+tt.name, func(t *testing.T) {
				seen := make(chan string, 1)
				other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					seen <- r.Header.Get("X-Proxy-Secret")
				}))
				t.Cleanup(other.Close)
				for name, value := range map[string]string{
					"HTTP_PROXY": other.URL, "http_proxy": other.URL, "NO_PROXY": tt.noProxy, "no_proxy": tt.noProxy,
				} {
					t.Setenv(name, value)
				}
				front, err := proxies.Start(k.proxy, proxies.Settings{
					Program: k.program(t), API: "192.0.2.1:80", Secret: secret, Server: c.authority.Server(), Clients: c.clients,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(front.Stop)
				conn, err := tls.Dial("tcp", front.Address, &tls.Config{
					ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				want, patience := "", 300*time.Millisecond // nobody answers at that address
				if obeys := k.name == "caddy 2.11" || k.name == "traefik"; obeys && tt.noProxy == "" {
					want, patience = secret, 10*time.Second
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				_, _ = exchange1(conn, nil)
				got := ""
				select {
				case got = <-seen:
				default:
				}
				if got != want {
					t.Errorf("the other proxy got the secret %q, want %q", got, want)
				}
			})
		}
	}
}

// An API that takes a request and says nothing costs its caller no more than responseHeaderTimeout; without it Traefik waits.
func TestTraefikTimeout(t *testing.T) {
	need(t)
	c, k := newCast(t), kindOf("traefik")
	ended := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-ended }))
	t.Cleanup(api.Close)
	t.Cleanup(func() { close(ended) })
	for _, tt := range []struct {
		line string
		want int // 0: no answer
	}{{"responseHeaderTimeout: 200ms\n", http.StatusGatewayTimeout}, {"\n", 0}} {
		front, err := proxies.Start(k.proxy, proxies.Settings{
			Program: k.program(t), API: api.Listener.Addr().String(), Secret: secret, Server: c.authority.Server(),
			Configuration: strings.Replace(file(k), "responseHeaderTimeout: 60s\n", tt.line, 1),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(front.Stop)
		conn, err := tls.Dial("tcp", front.Address, &tls.Config{
			ServerName: "localhost", RootCAs: c.authority.Pool(), MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		if r, err := exchange1(conn, nil); r.status != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("%q: got %d, %v, want %d", tt.line, r.status, err, tt.want)
		}
	}
}
