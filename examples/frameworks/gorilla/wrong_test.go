package gorilla

import (
	"net/http"
	"testing"

	"github.com/gorilla/mux"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// Use covers routes that match, and no other request: handlers of one's own for those run for everybody.
func TestWirings(t *testing.T) {
	w := caller.New(t, "orders.read")
	ran := 0
	order := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ })
	guarded, open := [3]int{1, 0, 0}, [3]int{1, 1, 1}
	for _, tt := range []struct {
		name, method, path string
		around, right      bool
	}{
		{"Use, a route", "GET", "/orders", false, true},
		{"Use, NotFoundHandler", "GET", "/nowhere", false, false},
		{"Use, MethodNotAllowedHandler", "POST", "/orders", false, false},
		{"around, a route", "GET", "/orders", true, true},
		{"around, NotFoundHandler", "GET", "/nowhere", true, true},
		{"around, MethodNotAllowedHandler", "POST", "/orders", true, true},
	} {
		m := mux.NewRouter()
		m.Handle("/orders", order).Methods("GET")
		m.NotFoundHandler, m.MethodNotAllowedHandler = order, order
		h := http.Handler(m)
		if tt.around {
			h = w.Guard.Confirm(m)
		} else {
			m.Use(w.Guard.Confirm)
		}
		_, got := w.Answers(h, tt.method, tt.path, &ran)
		switch {
		case tt.right && got != guarded:
			t.Errorf("VULNERABLE: %s: handler ran %v times, want %v", tt.name, got, guarded)
		case !tt.right && got != open:
			t.Errorf("%s: handler ran %v times, want what the page says: %v", tt.name, got, open)
		}
	}
}
