// Nethttp is a minimal real service on http.ServeMux. Its tokens come from a real issuer and are bound to client
// certificates: a stolen one doesn't work.
//
//	go run ./examples/nethttp -issuer https://id.example.com -audience https://api.example.com -cert server.crt -key server.key
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-171ab058/popauth"
)

func routes(guard *popauth.Guard) http.Handler {
	read := guard.Authorize(popauth.Scope("orders.read"))
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(read(http.HandlerFunc(listOrders))))
	mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {}) // public: no Guard around it
	mux.HandleFunc("GET /ready", ready(guard))
	return mux
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "orders of %s, read with certificate %s\n", caller.ClientID, caller.Certificate.Thumbprint)
}

// ready answers the load balancer's probe, so that an instance without keys gets no requests.
func ready(guard *popauth.Guard) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !guard.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

func newServer(routes http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		// Around all routes: every router and handler sees the same path, with %40 decoded to @.
		Handler:           popauth.RequestLine{Logger: logger}.Handler(routes),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // without it, an idle connection stays open for ever
		// Enough for the binding: the handshake proves possession of the certificate's key.
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		stop()
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("nethttp", flag.ContinueOnError)
	issuer := flags.String("issuer", "", "the issuer's URL, exactly as in its tokens")
	audience := flags.String("audience", "", "this API's name in the tokens' aud")
	addr := flags.String("addr", "127.0.0.1:8443", "where to listen")
	cert := flags.String("cert", "server.crt", "this server's certificate, PEM")
	key := flags.String("key", "server.key", "its key, PEM")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	guard, err := popauth.New(popauth.Options{
		Issuer:   *issuer,
		Audience: []string{*audience},
		Logger:   logger,
	})
	if err != nil {
		return err
	}
	guard.Ready() // starts fetching the keys, so that the first request need not wait
	server := newServer(routes(guard), logger)
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "listening on https://%s\n", l.Addr())
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ServeTLS(l, *cert, *key); err != http.ErrServerClosed {
		return err
	}
	return nil
}
