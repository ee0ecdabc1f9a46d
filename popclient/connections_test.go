package popclient_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// Connections of certificates that were replaced while they were in use are closed as all others are, over HTTP/2 too,
// where one that is in use doesn't close by itself.
func TestCloseIdleConnectionsOfBefore(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			s := newRealm(t)
			hold := make(chan struct{})
			api := popauthtest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					<-hold
				}
			}), func(c *tls.Config) { c.NextProtos = []string{protocol} })
			s.others = append(s.others, api.Certificate())
			var open atomic.Int32
			var certificate switched
			first := s.ca.Client("job")
			certificate.now.Store(&first.Certificate)
			client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
				o.Certificate = certificate.certificate
				o.Transport = &http.Transport{DialContext: counting(&open), ForceAttemptHTTP2: true}
			})
			m, _ := client.Transport.(*popclient.MutualTLS)
			var slow sync.WaitGroup
			for range 4 {
				slow.Go(func() { do(t, client, request(t, "GET", api.URL+"/slow", nil)) })
				time.Sleep(50 * time.Millisecond)
				next := s.ca.Client("job")
				certificate.now.Store(&next.Certificate)
				m.AskAgain()
				do(t, client, request(t, "GET", api.URL, nil))
			}
			close(hold)
			slow.Wait()
			time.Sleep(50 * time.Millisecond)
			client.CloseIdleConnections()
			becomes(t, &open, 0)
		})
	}
}

// tunnel is a proxy over TLS, which asks for a certificate, and how often it was shown one.
func newTunnel(t testing.TB) (proxy *httptest.Server, asked, shown *atomic.Int32) {
	t.Helper()
	asked, shown = new(atomic.Int32), new(atomic.Int32)
	proxy = popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if len(r.TLS.PeerCertificates) > 0 {
			shown.Add(1)
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			defer to.Close()
			_, _ = io.Copy(to, c)
		}()
		_, _ = io.Copy(c, to)
	}), func(c *tls.Config) { c.ClientAuth, c.NextProtos = tls.RequestClientCert, []string{"http/1.1"} })
	return proxy, asked, shown
}

// A proxy that is reached over TLS is verified, and isn't shown the client's certificate; the server behind it is. A
// function that names another proxy each time changes nothing.
func TestProxyOverTLS(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			s := newRealm(t)
			proxy, asked, shown := newTunnel(t)
			var version, certificates atomic.Int32
			api := popauthtest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				version.Store(int32(r.ProtoMajor))
				certificates.Add(int32(len(r.TLS.PeerCertificates)))
			}), func(c *tls.Config) { c.NextProtos = []string{protocol} })
			s.others = append(s.others, api.Certificate(), proxy.Certificate())
			by, err := url.Parse(proxy.URL)
			if err != nil {
				t.Fatal(err)
			}
			var turns atomic.Int32
			for name, choose := range map[string]func(*http.Request) (*url.URL, error){
				"always": http.ProxyURL(by),
				"in turns": func(*http.Request) (*url.URL, error) {
					if turns.Add(1)%2 == 0 {
						return by, nil
					}
					return nil, nil
				},
			} {
				asked.Store(0)
				certificates.Store(0)
				client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
					o.Transport = &http.Transport{Proxy: choose, ForceAttemptHTTP2: true}
				})
				for range 4 {
					do(t, client, request(t, "GET", api.URL, nil))
					client.CloseIdleConnections()
				}
				if asked.Load() == 0 || certificates.Load() != 4 || shown.Load() != 0 {
					t.Errorf("VULNERABLE: %s: %d requests to the proxy, with %d certificates, and %d at the API, want some, none and 4",
						name, asked.Load(), shown.Load(), certificates.Load())
				}
				if want := map[string]int32{"http/1.1": 1, "h2": 2}[protocol]; version.Load() != want {
					t.Errorf("%s: got HTTP/%d, want %d", name, version.Load(), want)
				}
			}
			// One that nobody knows.
			s.others = s.others[:1]
			before := asked.Load()
			client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
				o.Transport = &http.Transport{Proxy: http.ProxyURL(by)}
			})
			if resp, err := client.Get(api.URL); err == nil || asked.Load() != before {
				t.Errorf("VULNERABLE: got %v by a proxy that wasn't verified", resp)
			}
		})
	}
}
