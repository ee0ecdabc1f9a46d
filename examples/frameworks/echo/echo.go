// Package echo is an API on echo.
package echo

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Routes has each stage by echo.WrapMiddleware, and the principal in the context of c.Request().
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) http.Handler {
	stage := echo.WrapMiddleware
	read := stage(guard.Authorize(popauth.Scope("orders.read")))
	write := stage(guard.Authorize(popauth.Scope("orders.write")))

	e := echo.New()
	e.GET("/health", func(c echo.Context) error { return c.NoContent(http.StatusOK) }) // public
	e.GET("/catalog", func(c echo.Context) error {
		caller, _ := popauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, s.Catalog(caller.Subject))
	}, stage(guard.Authorize(popauth.Scope("catalog.read"))))
	bound := e.Group("/orders", stage(guard.Confirm)) // Use after a route wouldn't guard that route
	bound.GET("", func(c echo.Context) error {
		caller, _ := popauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, s.Orders(caller.Subject))
	}, read)
	bound.GET("/:id", func(c echo.Context) error {
		caller, _ := popauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, s.Order(caller.Subject, c.Param("id")))
	}, read)
	bound.POST("", func(c echo.Context) error {
		caller, _ := popauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, s.Buy(caller.Subject))
	}, write)
	sameOrigin := stage(http.NewCrossOriginProtection().Handler)
	e.POST("/readings", func(c echo.Context) error {
		device, _ := popauth.CertificateFromContext(c.Request().Context())
		return c.String(http.StatusOK, s.Read(device.Leaf.Subject.CommonName))
	}, sameOrigin, stage(clientcert.Require(devices)))
	return popauth.RequestLine{}.Handler(e)
}
