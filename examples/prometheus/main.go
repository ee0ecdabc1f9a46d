// Prometheus is an API with metrics of its Guard: on another listener it serves /metrics, for dashboard.json (Grafana)
// and alerts.yaml. It calls itself as the owner of a token and as thieves, prints the resulting /metrics, and ends.
//
//	go run -C examples/prometheus .
//	go run -C examples/prometheus . -serve    leaves it up; point Prometheus at the address it prints
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func main() {
	serve := flag.Bool("serve", false, "stay up")
	flag.Parse()
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *serve); err != nil {
		stop()
		log.Fatal(err)
	}
}

// service is the API and, apart from it, its metrics.
type service struct {
	cleanup []func()
	issuer  *popauthtest.Issuer
	owner   *popauthtest.Client
	key     *popauthtest.ProofKey
	api     *httptest.Server
	metrics string // URL
}

// These let a program use popauthtest as a test does.

func (s *service) Helper()                      {}
func (s *service) Cleanup(f func())             { s.cleanup = append(s.cleanup, f) }
func (s *service) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

func (s *service) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}

func (s *service) open() error {
	s.issuer, s.owner, s.key = popauthtest.NewIssuer(s), popauthtest.SelfSigned(s, "owner"), popauthtest.NewProofKey(s, "ES256")
	options := s.issuer.Options() // in a service: popauth.Options{Issuer: …, Audience: …, Keys: keys}
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		return err
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	registry := prometheus.NewRegistry()
	keys, _ := options.Keys.(*popauth.RemoteKeys)
	m, err := newMetrics(registry)
	if err != nil {
		return err
	}
	if err := m.keys(s.issuer.URL, keys); err != nil {
		return err
	}
	options.Observe = m.guard("orders")
	options.Logger = slog.New(slog.DiscardHandler) // the metrics are what is shown
	guard, err := popauth.New(options)
	if err != nil {
		return err
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "2 orders\n") })
	read := guard.Authorize(popauth.Scope("orders.read"))
	s.api = httptest.NewUnstartedServer(popauth.RequestLine{}.Handler(guard.Confirm(read(orders))))
	s.api.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.api.StartTLS()
	s.Cleanup(s.api.Close)
	return s.serveMetrics(registry)
}

// serveMetrics serves them on a listener that callers of the API can't reach.
func (s *service) serveMetrics(registry *prometheus.Registry) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() { _ = server.Serve(listener) }()
	s.Cleanup(func() { _ = server.Close() })
	s.metrics = "http://" + listener.Addr().String() + "/metrics"
	return nil
}

func run(ctx context.Context, out io.Writer, serve bool) error {
	s := &service{}
	defer s.close()
	if err := s.open(); err != nil {
		return err
	}
	for range 5 {
		if err := s.call("Bearer", s.token(), "", s.owner); err != nil {
			return err
		}
		if err := s.hostile(); err != nil {
			return err
		}
	}
	lines, err := s.scrape()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "api      %s\nmetrics  %s\n\n", s.api.URL, s.metrics)
	for _, line := range lines {
		if strings.HasPrefix(line, "popauth_decisions_total") {
			_, _ = fmt.Fprintln(out, line)
		}
	}
	_, _ = fmt.Fprintf(out, "\n%d series\n", len(lines))
	if serve {
		<-ctx.Done()
	}
	return nil
}

func (s *service) token(claims ...popauthtest.Claims) string {
	return s.issuer.Token(append([]popauthtest.Claims{s.owner.Bound(), {"scope": "orders.read"}}, claims...)...)
}

// hostile makes requests with values that differ in each.
func (s *service) hostile() error {
	x := rand.Text()
	mine := popauthtest.Claims{"sub": x, "client_id": x, "jti": x}
	nobody := &popauthtest.Client{}
	var all []error
	for _, r := range []struct {
		scheme, token, proof string
		as                   *popauthtest.Client
	}{
		{"Bearer", s.token(mine), "", nobody},
		{"Bearer", s.token(mine, popauthtest.Claims{"scope": x}), "", s.owner},
		{"Bearer", s.issuer.Token(mine), "", s.owner},
		{"Bearer", s.issuer.Token(popauthtest.Claims{"iss": "https://" + x + ".example"}), "", s.owner},
		{"Bearer", s.issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{x: x}}), "", s.owner},
		{"Bearer", s.issuer.TokenWith(popauthtest.Claims{"kid": x}), "", nobody},
		{"Bearer", x + "." + x + "." + x, "", nobody},
		{x, x, "", nobody},
		{"DPoP", s.issuer.Token(s.key.Bound(), mine), x, nobody},
		{"DPoP", s.issuer.Token(s.key.Bound()), s.key.Proof(x, "https://"+x, x), nobody},
	} {
		all = append(all, s.call(r.scheme, r.token, r.proof, r.as))
	}
	return errors.Join(all...)
}

func (s *service) call(scheme, token, proof string, as *popauthtest.Client) error {
	method := http.MethodGet
	if as != s.owner {
		method = rand.Text()
	}
	r, err := http.NewRequest(method, s.api.URL+"/"+rand.Text(), http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", scheme+" "+token)
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	client := as.HTTP(s.api)
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// scrape returns the series, one a line.
func (s *service) scrape() ([]string, error) {
	answer, err := http.Get(s.metrics)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	var lines []string
	page := bufio.NewScanner(answer.Body)
	for page.Scan() {
		if !strings.HasPrefix(page.Text(), "#") {
			lines = append(lines, page.Text())
		}
	}
	return lines, page.Err()
}
