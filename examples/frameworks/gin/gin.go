// Package gin is an API on a gin engine.
package gin

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Authorize is guard.Authorize as a gin handler. Without Abort gin would go on after a refusal.
func Authorize(guard *popauth.Guard, policies ...popauth.Policy) gin.HandlerFunc {
	guard.Authorize(policies...) // panics where these can't be meant, and has Metadata name their scopes
	return func(c *gin.Context) {
		d, err := guard.Decide(c.Request, policies...)
		if err != nil {
			guard.Refuse(c.Writer, c.Request, err)
			c.Abort()
			return
		}
		maps.Copy(c.Writer.Header(), d.Header)
		popauth.Private(c.Writer.Header())
		c.Request = d.Request
	}
}

// Stage runs other net/http middleware that either lets pass or answers, a stage of a Guard among it, as a gin handler. What wraps
// the ResponseWriter is refused: it would never see what comes after it, and PublicAnswers would take an error for a 200.
func Stage(stage func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed, wrapped := false, false
		stage(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if w == c.Writer {
				passed, c.Request = true, r
				return
			}
			wrapped = true
			nothingPublic(c.Writer.Header())
			_ = c.AbortWithError(http.StatusInternalServerError, fmt.Errorf("popauth: this stage wraps the ResponseWriter, which "+
				"a Stage can't hand on: put it around the handler with gin.WrapH, or around the engine; got a %T, want gin's own", w))
		})).ServeHTTP(c.Writer, c.Request)
		if wrapped {
			nothingPublic(c.Writer.Header()) // what the stage has said on its way out
		}
		if !passed {
			c.Abort()
		}
	}
}

// nothingPublic takes back all that a stage, or middleware outside, has said of an answer that isn't to come.
func nothingPublic(h http.Header) {
	clear(h)
	h.Set("Cache-Control", "no-store")
}

// Routes has the principal in the context of c.Request.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	read := Authorize(guard, popauth.Scope("orders.read"))
	write := Authorize(guard, popauth.Scope("orders.write"))

	r := gin.New()
	r.GET("/health", func(c *gin.Context) { c.Status(http.StatusOK) }) // public
	r.GET("/catalog", Authorize(guard, popauth.Scope("catalog.read")), func(c *gin.Context) {
		caller, _ := popauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, s.Catalog(caller.Subject))
	})
	bound := r.Group("/", Authorize(guard, popauth.Bound())) // Use after a route wouldn't guard that route
	bound.GET("/orders", read, func(c *gin.Context) {
		caller, _ := popauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, s.Orders(caller.Subject))
	})
	bound.GET("/orders/:id", read, func(c *gin.Context) {
		caller, _ := popauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, s.Order(caller.Subject, c.Param("id")))
	})
	bound.POST("/orders", write, func(c *gin.Context) {
		caller, _ := popauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, s.Buy(caller.Subject))
	})
	sameOrigin := http.NewCrossOriginProtection().Handler
	r.POST("/readings", Stage(sameOrigin), Stage(clientcert.Require(devices)), func(c *gin.Context) {
		device, _ := popauth.CertificateFromContext(c.Request.Context())
		c.String(http.StatusOK, s.Read(device.Leaf.Subject.CommonName))
	})
	return popauth.RequestLine{}.Handler(r)
}
