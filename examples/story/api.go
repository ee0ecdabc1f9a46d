package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/proxy"
)

// behindNginx accepts certificates only from nginx, known by its address and a secret.
func behindNginx(secret string) (popauth.CertificateSource, error) {
	return proxy.Certificate(proxy.Nginx("X-SSL-Client-Cert", "X-SSL-Client-Verify"),
		proxy.TrustPeers(netip.MustParsePrefix("127.0.0.1/32")),
		proxy.TrustSecret("X-Proxy-Secret", secret))
}

func routes(guard *popauth.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(guard.Authorize(popauth.Scope("orders.read"))(http.HandlerFunc(listOrders))))
	return mux
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "2 orders for %s\n", caller.ClientID)
}

// careless logs what many APIs log: whole headers, with the tokens in them. Thieves read it.
func careless(log io.Writer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(log, "%s %s %q\n", r.Method, r.URL.Path, r.Header.Get("Authorization"))
		next.ServeHTTP(w, r)
	})
}

// serveAPI is the process of the API.
func serveAPI(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	issuer := flags.String("issuer", "", "the token server")
	ca := flags.String("ca", "", "file of its authority")
	logFile := flags.String("log", "", "file for the log")
	if err := flags.Parse(args); err != nil {
		return err
	}
	roots, err := readRoots(*ca)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(*logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: *issuer, Client: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}})
	if err != nil {
		return err
	}
	source, err := behindNginx(os.Getenv("PROXY_SECRET"))
	if err != nil {
		return err
	}
	guard, err := popauth.New(popauth.Options{
		Issuer: *issuer, Audience: []string{audience}, Keys: keys, Certificate: source,
		Logger: slog.New(slog.DiscardHandler), // what is refused here is meant to be
		Leeway: time.Millisecond,              // all share one clock here; the default, 30 s, would be too long to wait
	})
	if err != nil {
		return err
	}
	keys.Ready() // begins to fetch them
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:     popauth.RequestLine{}.Handler(careless(log, routes(guard))),
		ConnContext: proxy.ConnContext, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_, _ = fmt.Fprintln(out, l.Addr())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: an argument of the program's
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New(file + ": no certificate")
	}
	return roots, nil
}
