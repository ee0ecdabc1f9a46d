// Package gin is an API on a gin engine.
package gin

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Stage runs a stage of a Guard, or other net/http middleware that either lets pass or answers, as a gin handler.
// Without Abort gin would go on after a refusal.
func Stage(stage func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		stage(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed, c.Request = true, r
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

// Routes has the principal in the context of c.Request.
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	read := Stage(guard.Authorize(popauth.Scope("orders.read")))
	write := Stage(guard.Authorize(popauth.Scope("orders.write")))

	r := gin.New()
	r.GET("/health", func(c *gin.Context) { c.Status(http.StatusOK) }) // public
	r.GET("/catalog", Stage(guard.Authorize(popauth.Scope("catalog.read"))), func(c *gin.Context) {
		caller, _ := popauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, s.Catalog(caller.Subject))
	})
	bound := r.Group("/", Stage(guard.Confirm)) // Use after a route wouldn't guard that route
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
	r.POST("/readings", Stage(sameOrigin), Stage(popauth.RequireCertificate(devices)), func(c *gin.Context) {
		device, _ := popauth.CertificateFromContext(c.Request.Context())
		c.String(http.StatusOK, s.Read(device.Leaf.Subject.CommonName))
	})
	return popauth.RequestLine{}.Handler(r)
}
