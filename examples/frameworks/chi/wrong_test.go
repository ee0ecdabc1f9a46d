package chi

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// What people write, and what comes of it.
func TestWirings(t *testing.T) {
	w := caller.New(t, "orders.read")
	ran := 0
	order := func(http.ResponseWriter, *http.Request) { ran++ }
	guarded, open := [3]int{1, 0, 0}, [3]int{1, 1, 1}
	for _, tt := range []struct {
		name, path string
		wire       func(chi.Router)
		right      bool
	}{
		{"Use", "/orders", func(r chi.Router) { r.Use(w.Guard.Confirm); r.Get("/orders", order) }, true},
		{"Use, NotFound", "/nowhere", func(r chi.Router) { r.Use(w.Guard.Confirm); r.Get("/orders", order); r.NotFound(order) }, true},
		{"Use, NotFound, and no route", "/nowhere", func(r chi.Router) { r.Use(w.Guard.Confirm); r.NotFound(order) }, false},
		{"With", "/orders", func(r chi.Router) { r.With(w.Guard.Confirm).Get("/orders", order) }, true},
		{"Route", "/orders/", func(r chi.Router) {
			r.Route("/orders", func(r chi.Router) { r.Use(w.Guard.Confirm); r.Get("/", order) })
		}, true},
		{"With, and what it returns dropped", "/orders", func(r chi.Router) { r.With(w.Guard.Confirm); r.Get("/orders", order) }, false},
		{"the outer router in a group", "/orders", func(outer chi.Router) {
			outer.Group(func(r chi.Router) { r.Use(w.Guard.Confirm); outer.Get("/orders", order) })
		}, false},
	} {
		r := chi.NewRouter()
		tt.wire(r)
		_, got := w.Answers(r, "GET", tt.path, &ran)
		switch {
		case tt.right && got != guarded:
			t.Errorf("VULNERABLE: %s: handler ran %v times, want %v", tt.name, got, guarded)
		case !tt.right && got != open:
			t.Errorf("%s: handler ran %v times, want what the page says: %v", tt.name, got, open)
		}
	}
}

// chi reports this one itself.
func TestUseAfterRoute(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("want a panic, as the page says")
		}
	}()
	w := caller.New(t, "orders.read")
	r := chi.NewRouter()
	r.Get("/orders", func(http.ResponseWriter, *http.Request) {})
	r.Use(w.Guard.Confirm)
}
