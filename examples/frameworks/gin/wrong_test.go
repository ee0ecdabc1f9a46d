package gin

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// What people write, and what comes of it: gin goes on after a refusal unless somebody aborts.
func TestWirings(t *testing.T) {
	w := caller.New(t, "orders.write")
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	withoutAbort := func(stage func(http.Handler) http.Handler) gin.HandlerFunc {
		return func(c *gin.Context) {
			stage(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				c.Request = r
				c.Next()
			})).ServeHTTP(c.Writer, c.Request)
		}
	}
	ran := 0
	order := func(c *gin.Context) { ran++; c.String(http.StatusOK, "ordered") }
	guarded, open := [3]int{1, 0, 0}, [3]int{1, 1, 1}
	for _, tt := range []struct {
		name  string
		wire  func(*gin.Engine)
		right bool
	}{
		{"Use(Stage)", func(r *gin.Engine) { r.Use(Stage(w.Guard.Confirm)); r.POST("/orders", order) }, true},
		{"Stage of a group", func(r *gin.Engine) { r.Group("/", Stage(w.Guard.Confirm)).POST("/orders", order) }, true},
		{"Stage of a route", func(r *gin.Engine) { r.POST("/orders", Stage(w.Guard.Confirm), order) }, true},
		{"two Stages", func(r *gin.Engine) {
			r.Use(Stage(w.Guard.Authenticate), Stage(w.Guard.Confirm))
			r.POST("/orders", Stage(w.Guard.Authorize(popauth.Scope("orders.write"))), order)
		}, true},
		{"Use(Stage), NoRoute", func(r *gin.Engine) { r.Use(Stage(w.Guard.Confirm)); r.NoRoute(order) }, true},
		{"NoRoute, then Use(Stage)", func(r *gin.Engine) { r.NoRoute(order); r.Use(Stage(w.Guard.Confirm)) }, true},
		{"WrapH", func(r *gin.Engine) { r.Use(gin.WrapH(w.Guard.Confirm(nothing))); r.POST("/orders", order) }, false},
		{"without Abort", func(r *gin.Engine) { r.Use(withoutAbort(w.Guard.Confirm)); r.POST("/orders", order) }, false},
		{"Use after the route", func(r *gin.Engine) { r.POST("/orders", order); r.Use(Stage(w.Guard.Confirm)) }, false},
	} {
		r := gin.New()
		tt.wire(r)
		statuses, got := w.Answers(r, "POST", "/orders", &ran)
		switch {
		case tt.right && (got != guarded || statuses != [3]int{200, 401, 401} && statuses != [3]int{404, 401, 401}):
			t.Errorf("VULNERABLE: %s: got %v, handler ran %v times, want %v", tt.name, statuses, got, guarded)
		case !tt.right && got != open:
			t.Errorf("%s: handler ran %v times, want what the page says: %v", tt.name, got, open)
		}
	}
}

// The principal is in the context of c.Request; c itself has it with ContextWithFallback only.
func TestContext(t *testing.T) {
	w := caller.New(t, "orders.write")
	for _, fallback := range []bool{false, true} {
		r := gin.New()
		r.ContextWithFallback = fallback
		ran := 0
		r.POST("/orders", Stage(w.Guard.Confirm), func(c *gin.Context) {
			ran++
			_, own := popauth.FromContext(c)
			_, request := popauth.FromContext(c.Request.Context())
			if own != fallback || !request {
				t.Errorf("ContextWithFallback %v: got %v in c, %v in c.Request, want %v, true", fallback, own, request, fallback)
			}
		})
		if _, got := w.Answers(r, "POST", "/orders", &ran); got != [3]int{1, 0, 0} {
			t.Errorf("handler ran %v times, want once, for the owner", got)
		}
	}
}
