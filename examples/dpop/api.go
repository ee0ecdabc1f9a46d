package main

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"

	"github.com/seed-171ab058/popauth"
)

// routes is the API as you would write it. CORS comes first: the package's documentation says why.
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

// crossOrigin lets scripts of one origin call, and read DPoP's headers in answers (RFC 9449, section 8). It names that
// origin: an empty list would allow all. AllowCredentials stays off: it is for cookies and the like, not for an
// Authorization header that a script sets.
func crossOrigin(origin string, methods ...string) func(http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowedOrigins: []string{origin},
		AllowedMethods: methods,
		AllowedHeaders: []string{"Authorization", "DPoP"},
		ExposedHeaders: []string{"WWW-Authenticate", "DPoP-Nonce"},
		MaxAge:         600,
	}).Handler
}
