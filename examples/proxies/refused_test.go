package proxies_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/proxy"
)

// A request that is refused before its body is read is the proxy's to handle: the client must see the 401, and the proxy
// must not take the API for broken, or whoever has no credentials puts it out of service for everybody. Caddy ends
// the connection now and then, by its Caddyfile over HTTP/1.1, which a client that is still sending may see instead.
func TestRefusedBodies(t *testing.T) {
	need(t, "nginx", "apache", "haproxy", "caddy")
	c := newCast(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			trust := []proxy.Trust{proxy.TrustPeers(loopback), proxy.TrustSecret("X-Proxy-Secret", secret)}
			l, other := newAPI(t, c, k, nil, trust...), newAPI(t, c, k, nil, trust...)
			second := other.api.Listener.Addr().String()
			l.start(t, l.api.Listener.Addr().String(), withSecond(t, k, second))
			refusedBodies(t, l)
			if l.spy.Ran() == 0 || other.spy.Ran() == 0 {
				t.Errorf("the handlers ran %d and %d times, want both to be in use", l.spy.Ran(), other.spy.Ran())
			}
		})
	}
}

// twoUpstreams adds the second one to a file as its proxy has it.
func twoUpstreams(ingress, address, port string) [][2]string {
	switch ingress {
	case "nginx":
		return [][2]string{{"	server ${API};\n", "	server ${API};\n	server " + address + ";\n"}}
	case "apache":
		return [][2]string{
			{"	ProxyPass / http://${API}/\n", "	ProxyPass / balancer://api/\n"},
			{"<VirtualHost", "<Proxy balancer://api>\n	BalancerMember http://${API}\n	BalancerMember http://" + address +
				"\n</Proxy>\n<VirtualHost"},
			{"Listen", "LoadModule slotmem_shm_module /usr/lib/apache2/modules/mod_slotmem_shm.so\n" +
				"LoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so\n" +
				"LoadModule lbmethod_byrequests_module /usr/lib/apache2/modules/mod_lbmethod_byrequests.so\nListen"},
		}
	case "caddy":
		return [][2]string{{"reverse_proxy {$API} {\n", "reverse_proxy {$API} " + address + " {\n		lb_policy round_robin\n"}}
	case "traefik":
		const one = `          - url: "http://${API}"`
		return [][2]string{{one, one + "\n" + strings.Replace(one, "${API}", address, 1)}}
	case "envoy":
		const one = `        - endpoint: { address: { socket_address: { address: "${API_HOST}", port_value: ${API_PORT} } } }`
		return [][2]string{{one, one + "\n" + strings.Replace(one, "${API_HOST}\", port_value: ${API_PORT}",
			"127.0.0.1\", port_value: "+port, 1)}}
	}
	return [][2]string{{"	server api \"${API}\"", "	server api \"${API}\"\n	server other " + address}}
}

// ended tells that a connection has ended while the client was still sending.
func ended(err string) bool {
	return strings.Contains(err, "write") || strings.HasSuffix(err, "unexpected EOF")
}

func refusedBodies(t *testing.T, l *lane) {
	t.Helper()
	config := &tls.Config{ServerName: "localhost", RootCAs: l.authority.Pool(), MinVersion: tls.VersionTLS12}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &l.owner.Certificate, nil }
	url := "https://" + strings.Replace(l.front.Address, "127.0.0.1", "localhost", 1) + "/orders"
	for _, http2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		ask := func(method, token string, body []byte) string {
			r, err := http.NewRequest(method, url, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", token)
			answer, err := client.Do(r)
			if err != nil {
				return err.Error()
			}
			defer answer.Body.Close()
			_, _ = io.Copy(io.Discard, answer.Body)
			return fmt.Sprint(answer.StatusCode)
		}
		// What is left of a body must not be taken for requests: an answer to one of them would be somebody else's.
		requests := bytes.Repeat([]byte("GET /others HTTP/1.1\r\nHost: a\r\n\r\n"), 1<<20/32)
		wrong, tries := 0, 5
		if l.name == "caddy 2.11" {
			tries = 20 // what is left of a body is taken for requests now and then
		}
		for _, size := range []int{0, 1 << 10, 100 << 10, 300 << 10, 900 << 10, 1 << 20} {
			for range tries {
				closes := l.proxy == "caddy" && size > 256<<10
				if got := ask("POST", "Bearer none", requests[:size]); got != "401" && (!closes || !ended(got)) {
					wrong++
					t.Logf("HTTP/2 %t, refused POST of %d bytes: got %s, want 401", http2, size, got)
				}
				for range 2 { // one for each upstream
					if got := ask("GET", "Bearer "+l.token(l.owner), nil); got != "200" {
						wrong++
						t.Logf("HTTP/2 %t, the owner's GET after it: got %s, want 200", http2, got)
					}
				}
			}
		}
		if wrong > 0 {
			t.Errorf("HTTP/2 %t: %d of %d answers are wrong", http2, wrong, 18*tries)
		}
	}
}
