// Package gorilla is an API on a router of gorilla/mux.
package gorilla

import (
	"io"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Routes needs no adapter: a stage is gorilla/mux's own kind of middleware.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	m := mux.NewRouter()
	m.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {}).Methods("GET") // public
	m.Handle("/catalog", guard.Authorize(popauth.Scope("catalog.read"))(catalog(s))).Methods("GET")
	sameOrigin := http.NewCrossOriginProtection().Handler
	m.Handle("/readings", sameOrigin(clientcert.Require(devices)(reading(s)))).Methods("POST")

	bound := m.NewRoute().Subrouter()
	bound.Use(guard.Confirm)
	read := guard.Authorize(popauth.Scope("orders.read"))
	write := guard.Authorize(popauth.Scope("orders.write"))
	bound.Handle("/orders", read(orders(s))).Methods("GET")
	bound.Handle("/orders/{id}", read(order(s))).Methods("GET")
	bound.Handle("/orders", write(buy(s))).Methods("POST")
	return popauth.RequestLine{}.Handler(m)
}

func catalog(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		_, _ = io.WriteString(w, s.Catalog(caller.Subject))
	}
}

func orders(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		_, _ = io.WriteString(w, s.Orders(caller.Subject))
	}
}

func order(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")          // or the client's id could make it a page
		_, _ = io.WriteString(w, s.Order(caller.Subject, mux.Vars(r)["id"])) //nolint:gosec // G705: it is plain text
	}
}

func buy(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		_, _ = io.WriteString(w, s.Buy(caller.Subject))
	}
}

func reading(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		device, _ := popauth.CertificateFromContext(r.Context())
		_, _ = io.WriteString(w, s.Read(device.Leaf.Subject.CommonName))
	}
}
