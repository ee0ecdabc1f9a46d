package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/proxy"
)

// An API that popauth guards has no finding, directly and behind proxies, for tokens that are bound to a certificate and to a key.
func TestRight(t *testing.T) {
	for name, open := range map[string]func(*lab) string{
		"direct":      func(l *lab) string { return l.popauthDirect(nil) },
		"with nonces": func(l *lab) string { return l.popauthDirect(nonces()) },
		"certificates demanded": func(l *lab) string {
			return l.popauthDirect(nil, func(s *httptest.Server) {
				s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, l.ca.Pool()
			})
		},
		"nginx": func(l *lab) string {
			return l.behind("nginx", "", proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"))
		},
		"envoy": func(l *lab) string {
			linux(l)
			return l.behind("envoy", counterpart.Envoy().Path(l), proxy.Envoy())
		},
		"forwardauth behind nginx": func(l *lab) string {
			return l.asked("nginx", "nginx.conf", forwardauth.Nginx(), proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"))
		},
		"forwardauth behind Caddy": func(l *lab) string {
			return l.asked("caddy", "Caddyfile", forwardauth.Caddy(), proxy.Caddy("X-SSL-Client-Cert"))
		},
	} {
		for _, by := range bearers {
			if name == "certificates demanded" && by == "key" {
				continue
			}
			t.Run(name+" "+by, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				l.wantRight(l.options(by, open(l), l.ca.Pool()), 100)
			})
		}
	}
}

func linux(tb testing.TB) {
	if runtime.GOOS != "linux" {
		tb.Skip("its program is for Linux")
	}
}

func nonces() dpop.NonceSource {
	return dpop.StatelessNonces{Secrets: [][]byte{[]byte("at least 32 bytes of a secret to make nonces")}}
}

const proxySecret = "the secret of proxy and API"

// upstream is an API on loopback whose handler comes when the proxy's port is known.
func (l *lab) upstream() (server *httptest.Server, set func(http.Handler)) {
	l.Helper()
	var h atomic.Pointer[http.Handler]
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*h.Load()).ServeHTTP(w, r) }))
	server.Config.ConnContext = proxy.ConnContext
	server.Start()
	l.Cleanup(server.Close)
	return server, func(next http.Handler) { h.Store(&next) }
}

func trust() []proxy.Trust {
	return []proxy.Trust{
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", proxySecret),
	}
}

func (l *lab) start(name, program string, s proxies.Settings) string {
	l.Helper()
	if program == "" {
		if _, err := proxies.Find(name); errors.Is(err, proxies.ErrMissing) {
			counterpart.Missing(l, err)
		}
	}
	s.Program, s.Secret, s.Server, s.Clients = program, proxySecret, l.ca.Server(), l.ca.PEM()
	p, err := proxies.Start(name, s)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(p.Stop)
	return "https://" + strings.Replace(p.Address, "127.0.0.1", "localhost", 1)
}

// behind is an API with popauth, behind a proxy that ends TLS.
func (l *lab) behind(name, program string, format proxy.Format) string {
	l.Helper()
	api, set := l.upstream()
	url := l.start(name, program, proxies.Settings{API: api.Listener.Addr().String()})
	set(l.guarded(url, nil, func(o *popauth.Options) {
		source, err := proxy.Certificate(format, trust()...)
		if err != nil {
			l.Fatal(err)
		}
		o.Certificate = source
	}))
	return url + "/orders"
}

// asked is an API that knows nothing of tokens, behind a proxy that asks an authentication service.
func (l *lab) asked(name, file string, headers forwardauth.Headers, format proxy.Format) string {
	l.Helper()
	text, err := os.ReadFile("../../../../examples/forwardauth/" + file)
	if err != nil {
		l.Fatal(err)
	}
	api := httptest.NewServer(http.HandlerFunc(listOrders))
	l.Cleanup(api.Close)
	service, set := l.upstream()
	url := l.start(name, "", proxies.Settings{
		API: api.Listener.Addr().String(), Auth: service.Listener.Addr().String(), Configuration: string(text),
	})
	peer, err := proxy.Trusted(trust()...)
	if err != nil {
		l.Fatal(err)
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: url, Nonces: nonces()})
	if err != nil {
		l.Fatal(err)
	}
	o := l.issuer.Options()
	o.TokenTypes, o.Logger = []string{"at+jwt"}, slog.New(slog.DiscardHandler)
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	if o.Certificate, err = proxy.Certificate(format, trust()...); err != nil {
		l.Fatal(err)
	}
	endpoint, err := forwardauth.New(forwardauth.Options{Guard: o, Headers: headers, Proxy: peer})
	if err != nil {
		l.Fatal(err)
	}
	asked, err := forwardauth.Site{Endpoint: endpoint, Format: format, Secret: proxySecret, Routes: []forwardauth.Route{{
		Path: "/orders", Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read")),
	}}}.Handler()
	if err != nil {
		l.Fatal(err)
	}
	set(asked)
	return url + "/orders"
}

// The owner's credentials go to the URL's origin alone, and nothing else goes anywhere when the owner is refused.
func TestRefusedOwner(t *testing.T) {
	l := newLab(t)
	n := 0
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	_, err := Run(context.Background(), l.options("certificate", server.URL+"/orders", l.ca.Pool()))
	if !errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), `401 Unauthorized: Bearer error="invalid_token"`) || n != 1 {
		t.Errorf("got %v after %d requests, want ErrOwner after 1", err, n)
	}
}
