package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// lab has an issuer, an owner by certificate and one by key, and another client.
type lab struct {
	testing.TB
	issuer       *popauthtest.Issuer
	ca           *popauthtest.CA
	owner, other *popauthtest.Client
	key          *Key
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	ca := popauthtest.NewCA(tb)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := NewKey(private, "")
	if err != nil {
		tb.Fatal(err)
	}
	return &lab{TB: tb, issuer: popauthtest.NewIssuer(tb), ca: ca, owner: ca.Client("owner"), other: ca.Client("other"), key: key}
}

// bearers are the two owners: what each gives the probe.
var bearers = []string{"certificate", "key"}

func (l *lab) token(by string, claims ...popauthtest.Claims) string {
	l.Helper()
	bound := l.owner.Bound()
	if by == "key" {
		bound = popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": l.key.jkt}}
	}
	return l.issuer.Token(append([]popauthtest.Claims{bound, {"scope": "orders.read"}}, claims...)...)
}

// options probe an API as an owner.
func (l *lab) options(by, url string, roots *x509.CertPool) Options {
	l.Helper()
	o := Options{URL: url, Token: l.token(by), RootCAs: roots, Rate: 5000, MaxRequests: 5000}
	if by == "key" {
		o.Key = l.key
	} else {
		o.Certificate, o.Other = &l.owner.Certificate, &l.other.Certificate
	}
	return o
}

// serve starts an API by TLS on a port that URL names it by.
func (l *lab) serve(h http.Handler, configure ...func(*httptest.Server)) *httptest.Server {
	l.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{l.ca.Server()}, ClientAuth: tls.RequestClientCert,
		MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	for _, c := range configure {
		c(server)
	}
	server.StartTLS()
	l.Cleanup(server.Close)
	return server
}

// findings are the names of the checks in a state.
func findings(r *Report, state State) []string {
	var all []string
	for _, x := range r.Results {
		if x.State == state {
			all = append(all, x.Name)
		}
	}
	slices.Sort(all)
	return all
}

func details(r *Report, states ...State) string {
	var b strings.Builder
	for _, x := range r.Results {
		if slices.Contains(states, x.State) {
			fmt.Fprintf(&b, "%s %s %s: %s\n", x.State, x.Severity, x.Name, x.Detail)
		}
	}
	return b.String()
}

// wantRight fails the test if a probe finds anything, or can't decide.
func (l *lab) wantRight(o Options, atLeast int) {
	l.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		l.Fatal(err)
	}
	if text := details(r, Found, Unclear); text != "" {
		l.Errorf("got %s\n%s%v", r.Summary(), text, r.Remarks)
	}
	if n := r.Count(Passed); n < atLeast {
		l.Errorf("got %d checks passed, want %d\n%s", n, atLeast, details(r, Skipped))
	}
	l.Logf("%s, %d requests, %.1f s", r.Summary(), r.Requests, r.Seconds)
}

// guarded is an API with popauth, known by this URL.
func (l *lab) guarded(url string, nonces dpop.NonceSource, change func(*popauth.Options)) http.Handler {
	l.Helper()
	proofs, err := dpop.New(dpop.Options{BaseURL: url, Nonces: nonces})
	if err != nil {
		l.Fatal(err)
	}
	o := l.issuer.Options()
	o.Confirmers, o.Logger = []popauth.Confirmer{popauth.MutualTLS{}, proofs}, slog.New(slog.DiscardHandler)
	o.TokenTypes = []string{"at+jwt"}
	if change != nil {
		change(&o)
	}
	guard, err := popauth.New(o)
	if err != nil {
		l.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(http.HandlerFunc(listOrders)))
	return popauth.RequestLine{Logger: o.Logger}.Handler(mux)
}

func listOrders(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"orders":["12 apples"]}`)
}

func (l *lab) popauthDirect(nonces dpop.NonceSource, configure ...func(*httptest.Server)) string {
	l.Helper()
	var h http.Handler
	server := l.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }), configure...)
	h = l.guarded(server.URL, nonces, nil)
	return server.URL + "/orders"
}

// second has a server take connections at another address, too.
func (l *lab) second(server *httptest.Server) {
	l.Helper()
	linux(l)
	address := strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "127.0.0.2", 1)
	listener, err := tls.Listen("tcp", address, server.TLS)
	if err != nil {
		l.Fatal(err)
	}
	go func() { _ = server.Config.Serve(listener) }() // until the server is closed
}
