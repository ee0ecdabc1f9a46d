package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

// audience is what the realm's audience mapper writes.
const audience = "https://orders.example.com"

// options are what an API needs for a realm of Keycloak's. base is the API's own URL, as clients call it.
func (w *world) options(issuer, base string) (popauth.Options, error) {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
		Issuer:  issuer,
		RootCAs: w.authority.Pool(), // leave it out where Keycloak's certificate is of a public authority
	})
	if err != nil {
		return popauth.Options{}, err
	}
	proofs, err := dpop.New(dpop.Options{BaseURL: base})
	if err != nil {
		return popauth.Options{}, err
	}
	return popauth.Options{
		Issuer:         issuer,
		Audience:       []string{audience},
		Keys:           keys,
		TokenTypes:     []string{"at+jwt"},
		RequiredClaims: []string{"azp"},
		ClientClaim:    "azp",
		Confirmers:     []popauth.Confirmer{popauth.MutualTLS{}, proofs},
	}, nil
}

func routes(guard *popauth.Guard, orders http.HandlerFunc) http.Handler {
	read := guard.Authorize(popauth.Scope("orders.read"))
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(read(orders)))
	return mux
}

// api is the API as it runs here, and what its log has.
type api struct {
	url string

	mu     sync.Mutex
	ran    int         // the handler of GET /orders
	reason string      // of the last refusal
	leaked http.Header // of the last request
}

func (w *world) startAPI() error {
	a := &w.api
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a.url = "https://" + l.Addr().String()
	options, err := w.options(w.keycloak.issuer, a.url)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	options.Observe = a.observe
	options.Logger = slog.New(slog.DiscardHandler) // here the table says it: leave this line out
	guard, err := popauth.New(options)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           a.careless(popauth.RequestLine{}.Handler(routes(guard, a.listOrders))),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{w.authority.Server()},
			ClientAuth:   tls.RequestClientCert, // enough for the binding: the handshake proves possession
			MinVersion:   tls.VersionTLS12,
		},
		ErrorLog: log.New(io.Discard, "", 0), // of handshakes that a client has broken off
	}
	w.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.ServeTLS(l, "", "") }()
	w.say("api           %s", a.url)
	return nil
}

func (a *api) listOrders(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.ran++
	a.mu.Unlock()
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "2 orders for %s\n", caller.ClientID)
}

func (a *api) observe(_ context.Context, o popauth.Observation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if o.Reason != "" {
		a.reason = o.Reason.Error()
	}
}

// careless writes down what many APIs log: whole headers, with tokens and proofs in them. Thieves read it.
func (a *api) careless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.leaked = r.Header.Clone()
		a.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}
