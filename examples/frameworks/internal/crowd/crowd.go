// Package crowd sends requests of honest and dishonest callers in random order over shared connections, and compares the
// answers, and what the handlers did, with what is expected.
package crowd

import (
	"crypto/tls"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

// Requests is how many a run sends.
const Requests = 2000

// Secret is the trusted proxy's.
const Secret = "0123456789abcdef0123456789abcdef"

// API is what a framework makes of the routes.
type API struct {
	// Serve serves the routes on l until the test ends.
	Serve func(t *testing.T, l net.Listener, c *tls.Config, guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop)

	// Form turns a route into a request, and the shop's words into a body. If nil, the route is "GET /orders/7" and the
	// words are the body.
	Form func(route string) (method, path, contentType, body string)
	Says func(words string) string

	// Certificate finds the callers' certificates where another program ends TLS. If nil, the API ends it, and is run behind
	// the trusted proxy, too.
	Certificate popauth.CertificateSource

	// NoTrailers says that a request with a trailer is answered with 400. Elsewhere a trailer is nothing that a Guard reads.
	NoTrailers bool
}

// Handler is an API.Serve for what net/http serves.
func Handler(routes func(*popauth.Guard, popauth.CertificateSource, *shop.Shop) http.Handler) API {
	return API{Serve: func(t *testing.T, l net.Listener, config *tls.Config, g *popauth.Guard, d popauth.CertificateSource, s *shop.Shop) {
		server := &http.Server{Handler: routes(g, d, s), TLSConfig: config, ReadHeaderTimeout: time.Minute, IdleTimeout: time.Minute}
		t.Cleanup(func() { _ = server.Close() })
		go func() {
			if config == nil {
				_ = server.Serve(l)
				return
			}
			_ = server.ServeTLS(l, "", "")
		}()
	}}
}

// World is an issuer, an authority for devices and all who call.
type World struct {
	Issuer  *popauthtest.Issuer
	Devices *popauthtest.CA
	Roots   *popauthtest.CA // of the server

	owners []*owner
	keys   []*holder
	thief  *popauthtest.Client
	base   string // what DPoP proofs are for
}

type owner struct {
	name                         string
	client                       *popauthtest.Client
	token, reader, expired, bare string
}

type holder struct {
	name, token string
	key         *popauthtest.ProofKey
}

// NewWorld makes one. All certificates and names are of one length, so that nothing tells callers apart but what they prove.
func NewWorld(t *testing.T) *World {
	w := &World{
		Issuer: popauthtest.NewIssuer(t), Devices: popauthtest.NewCA(t), Roots: popauthtest.NewCA(t),
		thief: popauthtest.SelfSigned(t, "owner-99"),
	}
	all := popauthtest.Claims{"scope": "catalog.read orders.read orders.write"}
	for i := range 12 {
		o := &owner{name: fmt.Sprintf("owner-%02d", i)}
		sub := popauthtest.Claims{"sub": o.name}
		o.client = w.Devices.Client(o.name)
		o.token = w.Issuer.Token(o.client.Bound(), sub, all)
		o.reader = w.Issuer.Token(o.client.Bound(), sub, popauthtest.Claims{"scope": "orders.read"})
		o.expired = w.Issuer.Token(o.client.Bound(), sub, all, popauthtest.Claims{"exp": time.Now().Add(-time.Hour).Unix()})
		o.bare = w.Issuer.Token(sub, all)
		w.owners = append(w.owners, o)
	}
	for i := range 8 {
		h := &holder{name: fmt.Sprintf("keyed-%02d", i), key: popauthtest.NewProofKey(t, "ES256")}
		h.token = w.Issuer.Token(h.key.Bound(), popauthtest.Claims{"sub": h.name}, all)
		w.keys = append(w.keys, h)
	}
	return w
}

// guard is one for mutual TLS and DPoP whose certificates come from source; devices is the same source, with an authority.
func (w *World) guard(t *testing.T, source popauth.CertificateSource) (guard *popauth.Guard, devices popauth.CertificateSource) {
	proofs, err := dpop.New(dpop.Options{BaseURL: w.base})
	if err != nil {
		t.Fatal(err)
	}
	o := w.Issuer.Options()
	o.Certificate = source
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err = popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if source == nil {
		source = popauth.TLSCertificate()
	}
	devices, err = clientcert.Verified(source, clientcert.Verification{Roots: w.Devices.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	return guard, devices
}

// Proxy is the certificate that the trusted proxy reports.
func Proxy() popauth.CertificateSource {
	source, err := proxy.Certificate(proxy.Caddy("X-SSL-Client-Cert"),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")), proxy.TrustSecret("X-Proxy-Secret", Secret))
	if err != nil {
		panic(err)
	}
	return source
}

// TLSConfig is the API's, where it ends TLS itself.
func (w *World) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
		Certificates: []tls.Certificate{w.Roots.Server("127.0.0.1")},
	}
}

// Run sends the crowd over TLS of the API's own, and through a trusted proxy with one connection and with four.
func Run(t *testing.T, api API) {
	for _, tt := range []struct {
		name        string
		connections int
	}{{"TLS", 0}, {"one connection of a proxy", 1}, {"four connections of a proxy", 4}} {
		if tt.connections > 0 && api.Certificate != nil {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			w := NewWorld(t)
			l := Listen(t)
			w.base = "https://" + l.Addr().String()
			config, source := w.TLSConfig(), api.Certificate
			if tt.connections > 0 {
				w.base, config, source = "https://api.example.com", nil, Proxy()
			}
			guard, devices := w.guard(t, source)
			var s shop.Shop
			api.Serve(t, l, config, guard, devices, &s)
			w.send(t, api, &s, l.Addr().String(), tt.connections)
		})
	}
}

// Listen listens on loopback.
func Listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// send is the run: each worker draws requests, and all of them share the connections.
func (w *World) send(t *testing.T, api API, s *shop.Shop, addr string, connections int) {
	seed := rand.Uint64() //nolint:gosec // G404: what a run draws must be drawn again from its seed
	road := newRoad(w, addr, connections)
	t.Cleanup(road.close)
	total := Requests
	if testing.Short() {
		total /= 10
	}
	workers := max(connections, 1)
	if connections == 0 {
		workers = 4
	}
	results := make([]*tally, workers)
	var group sync.WaitGroup
	for i := range workers {
		results[i] = &tally{want: map[string]int{}, statuses: map[int]int{}}
		draw := &draw{World: w, r: rand.New(rand.NewPCG(seed, uint64(i)))} //nolint:gosec // G404: as above
		group.Go(func() {
			for range total / workers {
				results[i].add(draw, api, road)
			}
		})
	}
	group.Wait()

	want, statuses, wrong := map[string]int{}, map[int]int{}, []string(nil)
	for _, r := range results {
		wrong = append(wrong, r.wrong...)
		for k, n := range r.want {
			want[k] += n
		}
		for k, n := range r.statuses {
			statuses[k] += n
		}
	}
	asked := s.Asked()
	for what := range asked {
		if asked[what] > want[what] {
			wrong = append(wrong, fmt.Sprintf("VULNERABLE: a handler ran: %q %d times, want %d", what, asked[what], want[what]))
		}
	}
	if len(wrong) == 0 && !maps.Equal(asked, want) {
		wrong = append(wrong, fmt.Sprintf("handlers ran for %v, want %v", asked, want))
	}
	t.Logf("%d requests, seed %d, answers %v, wrong rows %d", total, seed, statuses, len(wrong))
	if len(wrong) > 0 {
		slices.Sort(wrong)
		t.Errorf("got %d wrong rows, want 0; the first:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
}
