package popauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Stages around a router, in it and around its handlers; the route stays readable inside.
func TestRouters(t *testing.T) {
	l := lab.New(t)
	g := l.Guard()
	read := g.Authorize(popauth.Scope("orders.read"))
	write := g.Authorize(popauth.Scope("orders.write"))
	var spy popauthtest.Spy
	spy.Next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route := r.Pattern
		if c := chi.RouteContext(r.Context()); c != nil {
			route = c.RoutePattern()
		}
		p, _ := popauth.FromContext(r.Context())
		_, _ = w.Write([]byte(route + " " + r.PathValue("id") + " " + p.Subject))
	})

	mux := http.NewServeMux()
	mux.Handle("GET /orders/{id}", g.Confirm(read(&spy)))
	mux.Handle("PUT /orders/{id}", g.Confirm(write(&spy)))
	around := http.NewServeMux()
	around.Handle("GET /orders/{id}", &spy)
	prefix := http.NewServeMux()
	prefix.Handle("/v1/", g.Confirm(http.StripPrefix("/v1", mux)))

	use := chi.NewRouter()
	use.Use(g.Authenticate, g.Confirm)
	use.With(read).Get("/orders/{id}", spy.ServeHTTP)
	use.With(write).Put("/orders/{id}", spy.ServeHTTP)
	group := chi.NewRouter()
	group.Group(func(r chi.Router) {
		r.Use(g.Confirm)
		r.Route("/orders", func(r chi.Router) {
			r.Use(read)
			r.Get("/{id}", spy.ServeHTTP)
			r.With(write).Put("/{id}", spy.ServeHTTP)
		})
	})
	mount := chi.NewRouter()
	mount.Mount("/v1", use)

	for _, tt := range []struct {
		name, target, want string
		h                  http.Handler
	}{
		{"ServeMux", "/orders/7", "GET /orders/{id} 7 client-1", mux},
		{"around ServeMux", "/orders/7", "GET /orders/{id} 7 client-1", g.Confirm(read(around))},
		{"ServeMux under a prefix", "/v1/orders/7", "GET /orders/{id} 7 client-1", prefix},
		{"chi Use and With", "/orders/7", "/orders/{id} 7 client-1", use},
		{"chi Group and Route", "/orders/7", "/orders/{id} 7 client-1", group},
		{"chi Mount", "/v1/orders/7", "/v1/orders/{id} 7 client-1", mount},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spy.Ran()
			before := spy.Ran()
			w := httptest.NewRecorder()
			tt.h.ServeHTTP(w, l.Owner.Request("GET", tt.target, l.Bound()))
			if w.Code != 200 || w.Body.String() != tt.want {
				t.Errorf("owner: got %d %q, want %q", w.Code, w.Body, tt.want)
			}
			ran := spy.Ran()
			for _, c := range []*popauthtest.Client{nil, l.Thief} {
				w = httptest.NewRecorder()
				tt.h.ServeHTTP(w, c.Request("GET", tt.target, l.Bound()))
				if w.Code != 401 {
					t.Errorf("thief: got %d, want 401", w.Code)
				}
			}
			w = httptest.NewRecorder()
			tt.h.ServeHTTP(w, l.Owner.Request("PUT", tt.target, l.Bound()))
			if w.Code != 403 && w.Code != 405 {
				t.Errorf("without the scope: got %d", w.Code)
			}
			if spy.Ran() != ran || ran != before+1 {
				t.Error("the handler ran for a refused request")
			}
		})
	}
}
