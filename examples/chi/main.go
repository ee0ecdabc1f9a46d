// Chi is a minimal real service on a chi router. Its tokens come from a real issuer and are bound to client
// certificates: a stolen one doesn't work.
//
//	go run ./examples/chi -issuer https://id.example.com -audience https://api.example.com -cert server.crt -key server.key
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

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
)

func routes(guard *popauth.Guard) http.Handler {
	r := chi.NewRouter()
	r.Get("/health", func(http.ResponseWriter, *http.Request) {}) // public: outside the group
	r.Get("/ready", ready(guard))
	r.Group(func(r chi.Router) {
		r.Use(guard.Authenticate, guard.Confirm)
		r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", orders)
		r.With(guard.Authorize(popauth.Scope("orders.write"))).Put("/orders/{id}", orders)
	})
	return r
}

func orders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "%s by %s\n", chi.RouteContext(r.Context()).RoutePattern(), caller.ClientID)
}

// ready answers the load balancer's probe, so that an instance without keys gets no requests.
func ready(guard *popauth.Guard) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !guard.Ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
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
	flags := flag.NewFlagSet("chi", flag.ContinueOnError)
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
	server := &http.Server{
		// Around all routes: every router and handler sees the same path, with %40 decoded to @.
		Handler:           popauth.RequestLine{Logger: logger}.Handler(routes(guard)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute, // without it, an idle connection stays open for ever
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
	}
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
