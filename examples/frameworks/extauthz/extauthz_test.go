package extauthz

import (
	"crypto/tls"
	_ "embed"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/proxy"
)

//go:embed envoy.yaml
var envoyYAML string

// loopback is where Envoy is.
func loopback() proxy.Trust { return proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")) }

// certificates are those that Envoy reports.
func certificates(t *testing.T) popauth.CertificateSource {
	source, err := proxy.Certificate(proxy.Envoy(), loopback())
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// setup is what a test starts.
type setup struct {
	configuration string // of Envoy
	guard         *popauth.Guard
	routes        map[string]Route
	trust         *proxy.Trust // nil: Envoy
	down          bool         // the service is
	server        tls.Certificate
}

// serve starts the service, and Envoy in front of the API. It returns where callers connect.
func serve(t *testing.T, s setup, api http.Handler) string {
	identity, err := forwardauth.NewIdentity(nil)
	if err != nil {
		t.Fatal(err)
	}
	trust := loopback()
	if s.trust != nil {
		trust = *s.trust
	}
	trusted, err := proxy.Trusted(trust)
	if err != nil {
		t.Fatal(err)
	}
	l := crowd.Listen(t)
	service := grpc.NewServer()
	t.Cleanup(service.Stop)
	auth.RegisterAuthorizationServer(service, &Service{Guard: s.guard, Trusted: trusted.Check, Identity: identity, Routes: s.routes})
	if s.down {
		_ = l.Close()
	} else {
		go func() { _ = service.Serve(l) }()
	}
	behind := httptest.NewServer(api)
	t.Cleanup(behind.Close)
	envoy, err := proxies.Start("envoy", proxies.Settings{
		Program: counterpart.Envoy().Path(t), Configuration: s.configuration, Server: s.server,
		API: behind.Listener.Addr().String(), Auth: l.Addr().String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(envoy.Stop)
	return envoy.Address
}

// upstream is the API, which knows nothing of tokens.
func upstream(s *shop.Shop) http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	say := func(pattern, header string, words func(*http.Request, string) string) {
		api.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, words(r, strings.Join(r.Header[header], "|")))
		})
	}
	say("GET /catalog", "X-Auth-Subject", func(_ *http.Request, caller string) string { return s.Catalog(caller) })
	say("GET /orders", "X-Auth-Subject", func(_ *http.Request, caller string) string { return s.Orders(caller) })
	say("GET /orders/{id}", "X-Auth-Subject", func(r *http.Request, caller string) string { return s.Order(caller, r.PathValue("id")) })
	say("POST /orders", "X-Auth-Subject", func(_ *http.Request, caller string) string { return s.Buy(caller) })
	say("POST /readings", "X-Auth-Device", func(_ *http.Request, device string) string { return s.Read(device) })
	return api
}

// tunnel passes on what comes to one address, byte for byte, to another.
func tunnel(l net.Listener, to string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer from.Close()
			target, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer target.Close()
			go func() {
				_, _ = io.Copy(target, from)
				_ = target.Close()
			}()
			_, _ = io.Copy(from, target)
		}()
	}
}

func TestCrowd(t *testing.T) {
	crowd.Run(t, crowd.API{
		Certificate: certificates(t),
		Serve: func(t *testing.T, l net.Listener, c *tls.Config, guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) {
			go tunnel(l, serve(t, setup{
				configuration: envoyYAML, guard: guard, routes: Routes(guard, devices), server: c.Certificates[0],
			}, upstream(s)))
		},
	})
}
