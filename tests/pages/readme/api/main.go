// Orders is an API whose tokens only work for their owner.
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

func main() {
	logger := slog.Default()
	guard, err := popauth.New(popauth.Options{
		Issuer:   "https://id.example.com", // keys come from its metadata
		Audience: []string{"https://api.example.com"},
		Logger:   logger, // says why a request was refused
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:              ":8443",
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           popauth.RequestLine{Logger: logger}.Handler(routes(guard)),
		TLSConfig:         &tls.Config{ClientAuth: tls.RequestClientCert}, // see below
	}
	log.Fatal(server.ListenAndServeTLS("server.crt", "server.key"))
}

func routes(guard *popauth.Guard) http.Handler {
	read := guard.Authorize(popauth.Scope("orders.read"))
	mux := http.NewServeMux()
	mux.Handle("GET /orders", guard.Confirm(read(http.HandlerFunc(listOrders))))
	return mux
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintln(w, "orders of", caller.ClientID)
}
