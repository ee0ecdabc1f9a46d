package gin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
	"github.com/seed-171ab058/popauth/popauthtest"
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
		{"Use(Authorize)", func(r *gin.Engine) { r.Use(Authorize(w.Guard, popauth.Bound())); r.POST("/orders", order) }, true},
		{"Authorize, then Stage", func(r *gin.Engine) {
			r.Use(Authorize(w.Guard, popauth.Bound()))
			r.POST("/orders", Stage(w.Guard.Authorize(popauth.Scope("orders.write"))), order)
		}, true},
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

// What can't be meant is said when the route is made.
func TestAuthorizePanics(t *testing.T) {
	w := caller.New(t, "orders.write")
	for name, policies := range map[string][]popauth.Policy{"no policy": nil, "the zero Policy": {{}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic", name)
				}
			}()
			Authorize(w.Guard, policies...)
		}()
	}
}

// saying is a Confirmer that says something on the answer, as one does that gives nonces.
type saying struct{ popauth.MutualTLS }

// Confirm implements popauth.Confirmer.
func (s saying) Confirm(r *http.Request, p popauth.Presentation) error {
	p.SetHeader("DPoP-Nonce", "next")
	return s.MutualTLS.Confirm(r, p)
}

// The answer has what a stage puts on it: what the Confirmers say, and to caches whose it is.
func TestAuthorizeHeader(t *testing.T) {
	w := caller.New(t, "orders.write")
	o := w.Issuer.Options()
	o.Confirmers = []popauth.Confirmer{saying{}}
	guard, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := gin.New()
	r.GET("/orders", Authorize(guard, popauth.Bound()), func(c *gin.Context) { c.Status(http.StatusOK) })
	for as, want := range map[*popauthtest.Client]string{w.Owner: "private", w.Thief: "no-store"} {
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, as.Request("GET", "/orders", w.Token))
		if got := answer.Header(); got.Get("Cache-Control") != want || got.Get("DPoP-Nonce") != "next" {
			t.Errorf("got %d, %v, want Cache-Control %s and a nonce", answer.Code, got, want)
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
