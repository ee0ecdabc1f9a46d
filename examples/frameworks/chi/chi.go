// Package chi is an API on a chi router.
package chi

import (
	"io"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Routes needs no adapter: a stage is chi's own kind of middleware.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	r := chi.NewRouter()
	r.Get("/health", func(http.ResponseWriter, *http.Request) {}) // public
	r.With(guard.Authorize(popauth.Scope("catalog.read"))).Get("/catalog", catalog(s))
	r.Group(func(r chi.Router) { // the inner r: routes of the outer one are outside of the group
		r.Use(guard.Confirm)
		read := r.With(guard.Authorize(popauth.Scope("orders.read"))) // With leaves r itself as it was
		read.Get("/orders", orders(s))
		read.Get("/orders/{id}", order(s))
		r.With(guard.Authorize(popauth.Scope("orders.write"))).Post("/orders", buy(s))
	})
	sameOrigin := http.NewCrossOriginProtection().Handler
	r.With(sameOrigin, clientcert.Require(devices)).Post("/readings", reading(s))
	return popauth.RequestLine{}.Handler(r)
}

func order(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")              // or the client's id could make it a page
		_, _ = io.WriteString(w, s.Order(caller.Subject, chi.URLParam(r, "id"))) //nolint:gosec // G705: it is plain text
	}
}

func reading(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		device, _ := popauth.CertificateFromContext(r.Context())
		_, _ = io.WriteString(w, s.Read(device.Leaf.Subject.CommonName))
	}
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

func buy(s *shop.Shop) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		_, _ = io.WriteString(w, s.Buy(caller.Subject))
	}
}
