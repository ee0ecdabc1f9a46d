package main

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"

	"github.com/seed-171ab058/popauth"
)

// routes is the API as you would write it. CORS comes first: see the package's documentation for what happens if it
// doesn't.
func routes(guard *popauth.Guard, page string) http.Handler {
	r := chi.NewRouter()
	r.Use(crossOrigin(page, http.MethodGet), guard.Authenticate, guard.Confirm)
	r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", listOrders)
	return r
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "2 orders for %s\n", caller.Subject)
}

// crossOrigin lets scripts of one origin call, and read what DPoP answers in headers (RFC 9449, section 8). It names
// that origin: a list of none would stand for every one. AllowCredentials stays off, since it is about cookies and
// the like; an Authorization header that a script sets is no such credential.
func crossOrigin(origin string, methods ...string) func(http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: []string{origin},
		AllowedMethods: methods,
		AllowedHeaders: []string{"Authorization", "DPoP"},
		ExposedHeaders: []string{"WWW-Authenticate", "DPoP-Nonce"},
		MaxAge:         600,
	}).Handler
}
