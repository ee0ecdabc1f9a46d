package popclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// With a new certificate there are new connections, and no TLS session of the old one goes on: what a server sees on
// one is what was presented when it began. That holds for a transport that has spoken HTTP/2 before, and for one whose
// HTTP/2 was set up by hand, whose connections Clone would share.
func TestGenerationsShareNothing(t *testing.T) {
	for name, test := range map[string]struct {
		protocol string
		prepare  func(t *testing.T, own *http.Transport, url string)
	}{
		"HTTP/1.1": {"http/1.1", func(*testing.T, *http.Transport, string) {}},
		"HTTP/2":   {"h2", func(*testing.T, *http.Transport, string) {}},
		"HTTP/2, used": {"h2", func(t *testing.T, own *http.Transport, url string) {
			do(t, &http.Client{Transport: own}, request(t, "GET", url, nil))
		}},
		"HTTP/2, by hand": {"h2", func(t *testing.T, own *http.Transport, url string) {
			other := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: own.TLSClientConfig.Clone()}
			do(t, &http.Client{Transport: other}, request(t, "GET", url, nil))
			own.TLSNextProto, own.TLSClientConfig.NextProtos = other.TLSNextProto, []string{"h2"}
			t.Cleanup(other.CloseIdleConnections)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRealm(t)
			var mu sync.Mutex
			var seen []string
			api := popauthtest.NewServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, r.Proto+" "+presented(r))
			}), func(c *tls.Config) { c.NextProtos = []string{test.protocol} })
			var certificate switched
			old, next := s.ca.Client("job"), s.ca.Client("job")
			certificate.now.Store(&old.Certificate)
			own := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
				RootCAs: s.roots(), ClientSessionCache: tls.NewLRUClientSessionCache(0),
			}}
			t.Cleanup(own.CloseIdleConnections)
			own.TLSClientConfig.RootCAs.AddCert(api.Certificate())
			test.prepare(t, own, api.URL)
			seen = nil
			client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
				o.Certificate, o.Transport, o.RootCAs = certificate.certificate, own, nil
			})
			m, _ := client.Transport.(*popclient.MutualTLS)
			// By a name of its own: sessions are kept by name, and the issuer's would take the place of the API's.
			by := strings.Replace(api.URL, "127.0.0.1", "localhost", 1)
			for i, c := range []*popauthtest.Client{old, old, next, next, old} {
				certificate.now.Store(&c.Certificate)
				m.AskAgain()
				do(t, client, request(t, "GET", by, nil))
				if got := seen[i]; !strings.HasSuffix(got, " "+c.Thumbprint()) ||
					!strings.HasPrefix(got, map[string]string{"h2": "HTTP/2", "http/1.1": "HTTP/1"}[test.protocol]) {
					t.Errorf("VULNERABLE: %d: got %s, want %s", i, got, c.Thumbprint())
				}
			}
		})
	}
}

// presented is the thumbprint of a request's certificate, or "".
func presented(r *http.Request) string {
	if len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	return (&popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{r.TLS.PeerCertificates[0].Raw}}}).Thumbprint()
}

// Once the new certificate has had a token, the old one is out of use for good, its token and its connections.
func TestOldCertificateIsGone(t *testing.T) {
	s, path := newRealm(t), "/"
	other, _ := stranger(t, s)
	s.route = map[string]string{"/away": other}
	var certificate switched
	var open atomic.Int32
	first, second := s.ca.Client("job"), s.ca.Client("job")
	certificate.now.Store(&first.Certificate)
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate, o.Transport = certificate.certificate, &http.Transport{DialContext: counting(&open)}
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	get := func() error {
		m.AskAgain()
		resp, err := client.Get(s.api.URL + path)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return err
	}
	for _, c := range []*popauthtest.Client{first, second} {
		certificate.now.Store(&c.Certificate)
		if err := get(); err != nil {
			t.Fatal(err)
		}
		becomes(t, &open, 2) // to the issuer and to the API
	}
	s.revoke(2)
	s.refuse(500, "")
	if err := get(); err == nil || !strings.Contains(err.Error(), "status 500") {
		t.Errorf("got %v, want the token endpoint's error, not the old certificate's token", err)
	}
	// Nor is one waited for that never had a token.
	third := s.ca.Client("job")
	certificate.now.Store(&third.Certificate)
	if err := get(); err != nil {
		t.Fatal(err)
	}
	becomes(t, &open, 2)
	path = "/away"
	if err := get(); err != nil {
		t.Fatal(err)
	}
	becomes(t, &open, 3)
	client.CloseIdleConnections()
	becomes(t, &open, 0)
}

// counting dials, and counts what is open.
func counting(open *atomic.Int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &counted{Conn: c, open: open}, nil
	}
}

type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// becomes waits for a number of connections.
func becomes(t testing.TB, open *atomic.Int32, want int32) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); open.Load() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %d open connections, want %d", open.Load(), want)
		}
	}
}

// A certificate is another one if its intermediates are.
func TestNewIntermediate(t *testing.T) {
	s := newRealm(t)
	other, seen := stranger(t, s)
	unit := s.ca.Intermediate("unit")
	long := unit.Client("job").Certificate
	short := tls.Certificate{Certificate: long.Certificate[:1], PrivateKey: long.PrivateKey}
	var certificate switched
	certificate.now.Store(&long)
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.TokenURL, o.Issuer, o.Certificate = other, "", certificate.certificate
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	for _, c := range []*tls.Certificate{&long, &short} {
		certificate.now.Store(c)
		m.AskAgain()
		if _, err := m.Credentials(t.Context()); err == nil {
			t.Error("got a token of a stranger")
		}
	}
	if len(*seen) != 2 || (*seen)[0].certificates != 2 || (*seen)[1].certificates != 1 {
		t.Errorf("got %+v, want chains of 2 and 1", *seen)
	}
}

// The certificate is presented to a server whose list of authorities doesn't have its own.
func TestServerOfOtherAuthorities(t *testing.T) {
	s := newRealm(t)
	another := popauthtest.NewCA(t, func(c *x509.Certificate) { c.Subject.CommonName = "another" })
	api := popauthtest.NewServer(t, http.NotFoundHandler(), func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAnyClientCert, another.Pool()
	})
	s.others = append(s.others, api.Certificate())
	if status, _ := do(t, s.client(t, s.ca.Client("job")), request(t, "GET", api.URL, nil)); status != 404 {
		t.Errorf("got %d, want the server's 404", status)
	}
}

// What ends the goroutine of a fetch ends no other, and nobody waits for it for ever.
func TestFetchEndsBadly(t *testing.T) {
	s := newRealm(t)
	for want, proxy := range map[string]func(*http.Request) (*url.URL, error){
		"panicked: no proxy": func(*http.Request) (*url.URL, error) { panic("no proxy") },
		"did not end":        func(*http.Request) (*url.URL, error) { runtime.Goexit(); return nil, nil },
	} {
		client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Transport = &http.Transport{Proxy: proxy} })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if resp, err := client.Do(request(t, "GET", s.api.URL, nil).WithContext(ctx)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %s", resp, err, want)
		}
		cancel()
	}
}

// Whatever else a program has put in the place of http.DefaultTransport, servers are verified, and the certificate is
// presented.
func TestReplacedDefaultTransport(t *testing.T) {
	s := newRealm(t)
	unknown, seen := stranger(t, s)
	s.others = nil
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	for name, transport := range map[string]http.RoundTripper{
		"nil":             nil,
		"of another type": funcBase(func(*http.Request) (*http.Response, error) { return nil, http.ErrSkipAltProtocol }),
		//nolint:gosec // G402: it is what is not used
		"no verification": &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		//nolint:gosec // G402: it is what is not used
		"own TLS": &http.Transport{DialTLSContext: (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext},
	} {
		http.DefaultTransport = transport
		client := s.client(t, s.ca.Client("job"))
		if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
			t.Errorf("%s: got %d, want 200", name, status)
		}
		if resp, err := client.Get(unknown); err == nil || len(*seen) != 0 {
			t.Errorf("VULNERABLE: %s: got %v, want an error", name, resp)
		}
	}
}
