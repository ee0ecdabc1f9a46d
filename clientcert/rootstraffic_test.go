package clientcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// rootsAPI is a route for certificates, whose roots change.
type rootsAPI struct {
	testing.TB
	server *httptest.Server
	roots  *x509.CertPool // of the server
}

func newRootsAPI(t *testing.T, v clientcert.Verification) *rootsAPI {
	t.Helper()
	source, err := clientcert.Verified(popauth.TLSCertificate(), v)
	if err != nil {
		t.Fatal(err)
	}
	a := &rootsAPI{TB: t}
	a.server = httptest.NewUnstartedServer(clientcert.Require(source)(&popauthtest.Spy{}))
	ca := popauthtest.NewCA(t)
	a.roots = ca.Pool()
	a.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{ca.Server()}}
	a.server.EnableHTTP2 = true
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	return a
}

// caller is a client with connections of one kind.
type caller struct {
	name string
	*http.Client
	living, resumes bool
	resumed         atomic.Int64
}

func (a *rootsAPI) callers(as *popauthtest.Client) []*caller {
	var all []*caller
	for _, h2 := range []bool{false, true} {
		for _, c := range []*caller{{name: "new"}, {name: "resumed", resumes: true}, {name: "living", living: true}} {
			config := &tls.Config{
				RootCAs: a.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &as.Certificate, nil },
				VerifyConnection: func(s tls.ConnectionState) error {
					if s.DidResume {
						c.resumed.Add(1)
					}
					return nil
				},
			}
			if c.resumes {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			}
			if h2 {
				c.name += " HTTP/2"
			}
			c.Client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: h2}}
			a.Cleanup(c.CloseIdleConnections)
			all = append(all, c)
		}
	}
	return all
}

func (a *rootsAPI) status(c *caller) int {
	if !c.living {
		c.CloseIdleConnections()
	}
	resp, err := c.Get(a.server.URL)
	if err != nil {
		a.Errorf("%s: %v", c.name, err)
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the session's ticket has come
	return resp.StatusCode
}

// An authority is added, and the old one withdrawn, while requests come on new, resumed and living connections.
func TestRootsUnderTraffic(t *testing.T) {
	old, next := popauthtest.NewCA(t), popauthtest.NewCA(t)
	const id = "spiffe://example.org/orders"
	source := &bundleSource{}
	path := filepath.Join(t.TempDir(), "ca.crt")
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, cas ...*popauthtest.CA)
		v      func() clientcert.Verification
		after  time.Duration
	}{
		{
			name:   "bundle",
			change: func(_ *testing.T, cas ...*popauthtest.CA) { source.set("example.org", cas...) },
			v: func() clientcert.Verification {
				return clientcert.Verification{RootsFor: clientcert.Bundles(source, domainOf)}
			},
		},
		{
			name: "file",
			change: func(t *testing.T, cas ...*popauthtest.CA) {
				t.Helper()
				var content []byte
				for _, ca := range cas {
					content = append(content, ca.PEM()...)
				}
				if err := os.WriteFile(path+".new", content, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			},
			v: func() clientcert.Verification {
				roots, err := clientcert.RootsFile(path, clientcert.RootsFileOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return clientcert.Verification{RootsFor: roots}
			},
			after: 1100 * time.Millisecond,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.change(t, old)
			a := newRootsAPI(t, tt.v())
			olds, nexts := a.callers(svid(t, old, id)), a.callers(svid(t, next, id))
			// Requests that are on their way beside each change; what they are answered is of no interest.
			stop := make(chan struct{})
			var traffic sync.WaitGroup
			for _, c := range a.callers(svid(t, old, id)) {
				c.living = true
				traffic.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if resp, err := c.Get(a.server.URL); err == nil {
							resp.Body.Close()
						}
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
			defer traffic.Wait()
			defer close(stop)
			for _, step := range []struct {
				name      string
				cas       []*popauthtest.CA
				old, next int
			}{
				{name: "at start", cas: []*popauthtest.CA{old}, old: 200, next: 403},
				{name: "rotated", cas: []*popauthtest.CA{old, next}, old: 200, next: 200},
				{name: "withdrawn", cas: []*popauthtest.CA{next}, old: 403, next: 200},
				{name: "back", cas: []*popauthtest.CA{old}, old: 200, next: 403},
			} {
				tt.change(t, step.cas...)
				time.Sleep(tt.after)
				for range 2 {
					for i := range olds {
						if got := a.status(olds[i]); got != step.old {
							t.Errorf("%s, old, %s: got %d, want %d", step.name, olds[i].name, got, step.old)
						}
						if got := a.status(nexts[i]); got != step.next {
							t.Errorf("%s, next, %s: got %d, want %d", step.name, nexts[i].name, got, step.next)
						}
					}
				}
			}
			for _, c := range slices.Concat(olds, nexts) {
				if resumed := c.resumed.Load() > 0; resumed != c.resumes {
					t.Errorf("%s: resumed %d sessions", c.name, c.resumed.Load())
				}
			}
		})
	}
}
