// Forwardauth starts an API that knows nothing of tokens, an authentication service of forwardauth and popauth, and in
// front of them an installed proxy, with its configuration in this directory. It shows what reaches the API.
//
//	go run ./examples/forwardauth                 with nginx
//	go run ./examples/forwardauth -proxy caddy    or traefik, or envoy
package main

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/forwardauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

const audience = "https://orders.example.com"

//go:embed nginx.conf
var nginxConf string

//go:embed Caddyfile
var caddyfile string

//go:embed traefik.yaml
var traefikYAML string

//go:embed traefik-static.yaml
var traefikStatic string

//go:embed envoy.yaml
var envoyYAML string

// setup is what differs between the proxies.
type setup struct {
	configuration string
	headers       forwardauth.Headers
	certificate   proxy.Format
	down          string // the answer if the service doesn't answer
	outage        string // and if it answers 503
	claims        map[string]string
	secretHeader  string // empty: X-Proxy-Secret
	routes        func(*forwardauth.Endpoint) []forwardauth.Route
}

var setups = map[string]setup{
	"nginx": {
		configuration: nginxConf, headers: forwardauth.Nginx(), down: "503", outage: "503, Retry-After",
		certificate: proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
	},
	"caddy": {
		configuration: caddyfile, headers: forwardauth.Caddy(), down: "502", outage: "503, Retry-After",
		certificate: proxy.Caddy("X-SSL-Client-Cert"),
	},
	"traefik": {
		configuration: traefikYAML, headers: forwardauth.Traefik(), down: "500", outage: "503, Retry-After",
		certificate: proxy.Traefik(),
	},
	"envoy": {configuration: envoyYAML, headers: forwardauth.Envoy(), certificate: proxy.Envoy(), down: "503", outage: "503"},
}

// site is the API behind a proxy. What it lacks to write the proxy's file is where everything listens.
func site(guard popauth.Options, s setup, secret string) (forwardauth.Site, error) {
	trust := []proxy.Trust{
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")),
		proxy.TrustSecret(cmp.Or(s.secretHeader, "X-Proxy-Secret"), secret),
	}
	peer, err := proxy.Trusted(trust...)
	if err != nil {
		return forwardauth.Site{}, err
	}
	if guard.Certificate, err = proxy.Certificate(s.certificate, trust...); err != nil {
		return forwardauth.Site{}, err
	}
	endpoint, err := forwardauth.New(forwardauth.Options{Guard: guard, Headers: s.headers, Proxy: peer, Claims: s.claims})
	if err != nil {
		return forwardauth.Site{}, err
	}
	if s.routes == nil {
		s.routes = orderly
	}
	return forwardauth.Site{Endpoint: endpoint, Format: s.certificate, Secret: secret, Routes: s.routes(endpoint)}, nil
}

// orderly are the routes of the shipped files.
func orderly(endpoint *forwardauth.Endpoint) []forwardauth.Route {
	return []forwardauth.Route{{
		Path:    "/orders",
		Handler: endpoint.Authorize(popauth.Bound(), popauth.Scope("orders.read"), popauth.PolicyFunc(reading)),
	}}
}

// reading sees the original request.
func reading(r *http.Request, _ *popauth.Principal) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errors.New("orders.read is for reading")
	}
	return nil
}

// orders is the API, as it could be written in any language. It is reached by the proxy only.
type orders struct {
	mu      sync.Mutex
	seen    []http.Header
	targets []string
}

func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen, o.targets = append(o.seen, r.Header.Clone()), append(o.targets, r.RequestURI)
	if r.Header.Get("Upgrade") == "websocket" {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	_, _ = io.WriteString(w, "2 orders\n")
}

func main() {
	ingress := flag.String("proxy", "nginx", "nginx, caddy, traefik or envoy")
	flag.Parse()
	log.SetFlags(0)
	if err := run(os.Stdout, *ingress, ""); err != nil {
		log.Fatal(err)
	}
}

// run makes the requests through a proxy. The program is the proxy's, or empty for the one that is installed.
func run(out io.Writer, ingress, program string) error {
	if _, ok := setups[ingress]; !ok {
		return fmt.Errorf("no configuration for a proxy called %q", ingress)
	}
	if _, err := proxies.Find(ingress); err != nil && program == "" {
		return fmt.Errorf("%w: this example needs nginx with auth_request, caddy, traefik or envoy", err)
	}
	w := &world{program: program}
	defer w.close()
	if err := w.open(ingress); err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "REQUEST THROUGH "+ingress+"\tEXPECTED\tGOT")
	wrong := 0
	for _, r := range w.rows() {
		if r.from == "127.0.0.2" && runtime.GOOS != "linux" {
			continue // has no such address
		}
		got, err := w.outcome(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if got != r.want {
			wrong++
			got += "  <- WRONG"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", r.name, r.want, got)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d answers are not as expected", wrong)
	}
	return nil
}

// world is what the story needs.
type world struct {
	cleanup      []func()
	setup        setup
	program      string // of the proxy, if it isn't the installed one
	issuer       *popauthtest.Issuer
	authority    *popauthtest.CA
	server       tls.Certificate // of the proxy
	owner, thief *popauthtest.Client
	key          *popauthtest.ProofKey // of the owner, for DPoP
	token, dpop  string                // the owner's
	nonceless    bool                  // no proof needs one
	arrived      string                // the target of the last raw request, as the API sees it
	nonce        string                // the last that was sent
	proof        string                // the last that was accepted
	upstream     *orders
	api          http.Handler // the upstream, or another one
	handler      http.Handler // of the authentication service
	questions    atomic.Int32 // that it has got
	bodies       atomic.Int32 // that have come with one
	configure    func(configuration string) string
	write        func(forwardauth.Site) (configuration, static string, err error) // instead of the shipped files
	secret       string                                                           // the proxy's
	auth         *httptest.Server
	proxy        *proxies.Proxy
}

// These let a program use popauthtest as a test does.

func (w *world) Helper()                      {}
func (w *world) Cleanup(f func())             { w.cleanup = append(w.cleanup, f) }
func (w *world) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

func (w *world) close() {
	for _, f := range slices.Backward(w.cleanup) {
		f()
	}
}

func (w *world) open(ingress string) error {
	if w.upstream = (&orders{}); w.setup.headers == (forwardauth.Headers{}) {
		w.setup = setups[ingress]
	}
	if w.configure != nil {
		w.setup.configuration = w.configure(w.setup.configuration)
	}
	w.issuer, w.authority = popauthtest.NewIssuer(w), popauthtest.NewCA(w)
	w.server = w.authority.Server()
	w.owner, w.thief = w.authority.Client("orders-batch"), popauthtest.SelfSigned(w, "thief")
	w.key = popauthtest.NewProofKey(w, "ES256")
	w.token = w.issuer.Token(claims(w.owner.Bound()))
	w.dpop = w.issuer.Token(claims(w.key.Bound()))

	secrets := [][]byte{[]byte("at least 32 bytes of a secret to make nonces")}
	options := w.issuer.Options(audience)
	options.Logger = slog.New(slog.DiscardHandler) // what is refused here is meant to be
	// The proxy's port is the kernel's choice; an API with one name sets BaseURL.
	possession := dpop.Options{URL: forwardauth.OriginalURL, Nonces: dpop.StatelessNonces{Secrets: secrets}}
	if w.nonceless {
		possession.Nonces = nil
	}
	proofs, err := dpop.New(possession)
	if err != nil {
		return err
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	options.Revoked = revoked
	if w.secret == "" {
		w.secret = rand.Text()
	}
	behind, err := site(options, w.setup, w.secret)
	if err != nil {
		return err
	}
	if w.handler == nil {
		if w.handler, err = behind.Handler(); err != nil {
			return err
		}
	}
	w.auth = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.questions.Add(1)
		if n, _ := io.Copy(io.Discard, r.Body); n > 0 {
			w.bodies.Add(1)
		}
		w.handler.ServeHTTP(rw, r)
	}))
	w.auth.Config.ConnContext = proxy.ConnContext
	w.auth.Start()
	w.Cleanup(w.auth.Close)
	return w.front(ingress, behind)
}

// front starts the API and the proxy.
func (w *world) front(ingress string, behind forwardauth.Site) (err error) {
	if w.api == nil {
		w.api = w.upstream
	}
	api := httptest.NewServer(w.api)
	w.Cleanup(api.Close)
	settings := proxies.Settings{
		Program: w.program, API: api.Listener.Addr().String(), Auth: w.auth.Listener.Addr().String(), Secret: w.secret,
		Server: w.server, Clients: w.authority.PEM(), Configuration: w.setup.configuration, Static: traefikStatic,
	}
	if w.write != nil {
		behind.API, behind.Service = []string{settings.API}, []string{settings.Auth}
		if settings.Configuration, settings.Static, err = w.write(behind); err != nil {
			return err
		}
	}
	w.proxy, err = proxies.Start(ingress, settings)
	if err != nil {
		return err
	}
	w.Cleanup(w.proxy.Stop)
	return nil
}
