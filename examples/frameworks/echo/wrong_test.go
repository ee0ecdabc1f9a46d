package echo

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// What people write, and what comes of it: echo goes on after a refusal unless the handlers are inside of the stage.
func TestWirings(t *testing.T) {
	w := caller.New(t, "orders.write")
	ran := 0
	order := func(c echo.Context) error { ran++; return c.String(http.StatusOK, "ordered") }
	stage := echo.WrapMiddleware(w.Guard.Confirm)
	beside := func(next echo.HandlerFunc) echo.HandlerFunc {
		check := echo.WrapHandler(w.Guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		return func(c echo.Context) error {
			if err := check(c); err != nil {
				return err
			}
			return next(c)
		}
	}
	guarded, open := [3]int{1, 0, 0}, [3]int{1, 1, 1}
	for _, tt := range []struct {
		name  string
		wire  func(*echo.Echo)
		right bool
	}{
		{"Use", func(e *echo.Echo) { e.Use(stage); e.POST("/orders", order) }, true},
		{"Use after the route", func(e *echo.Echo) { e.POST("/orders", order); e.Use(stage) }, true},
		{"Use, RouteNotFound", func(e *echo.Echo) { e.Use(stage); e.RouteNotFound("/*", order) }, true},
		{"group", func(e *echo.Echo) { e.Group("/orders", stage).POST("", order) }, true},
		{"route", func(e *echo.Echo) { e.POST("/orders", order, stage) }, true},
		{"WrapHandler before next", func(e *echo.Echo) { e.Use(beside); e.POST("/orders", order) }, false},
		{"Use of a group after the route", func(e *echo.Echo) {
			g := e.Group("/orders")
			g.POST("", order)
			g.Use(stage)
		}, false},
	} {
		e := echo.New()
		tt.wire(e)
		statuses, got := w.Answers(e, "POST", "/orders", &ran)
		switch {
		case tt.right && (got != guarded || statuses != [3]int{200, 401, 401}):
			t.Errorf("VULNERABLE: %s: got %v, handler ran %v times, want %v", tt.name, statuses, got, guarded)
		case !tt.right && got != open:
			t.Errorf("%s: handler ran %v times, want what the page says: %v", tt.name, got, open)
		}
	}
}
