package fiber2

import (
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

// Routes has the principal in c.UserContext().
func Routes(guard *popauth.Guard, devices popauth.CertificateSource, s *shop.Shop) *fiber.App {
	read := Stage(guard.Authorize(popauth.Scope("orders.read")))
	write := Stage(guard.Authorize(popauth.Scope("orders.write")))

	app := New(fiber.Config{DisableStartupMessage: true}, slog.Default())               // not fiber.New: see New
	app.Use(Stage(popauth.RequestLine{}.Handler))                                       // first: Use guards what is registered after it
	app.Get("/health", func(c *fiber.Ctx) error { return c.SendStatus(http.StatusOK) }) // public
	app.Get("/catalog", Stage(guard.Authorize(popauth.Scope("catalog.read"))), func(c *fiber.Ctx) error {
		caller, _ := popauth.FromContext(c.UserContext())
		return c.SendString(s.Catalog(caller.Subject))
	})
	bound := app.Group("/orders", Stage(guard.Confirm))
	bound.Get("/", read, func(c *fiber.Ctx) error {
		caller, _ := popauth.FromContext(c.UserContext())
		return c.SendString(s.Orders(caller.Subject))
	})
	bound.Get("/:id", read, func(c *fiber.Ctx) error {
		caller, _ := popauth.FromContext(c.UserContext())
		return c.SendString(s.Order(caller.Subject, c.Params("id")))
	})
	bound.Post("/", write, func(c *fiber.Ctx) error {
		caller, _ := popauth.FromContext(c.UserContext())
		return c.SendString(s.Buy(caller.Subject))
	})
	sameOrigin := Stage(http.NewCrossOriginProtection().Handler)
	app.Post("/readings", sameOrigin, Stage(clientcert.Require(devices)), func(c *fiber.Ctx) error {
		device, _ := popauth.CertificateFromContext(c.UserContext())
		return c.SendString(s.Read(device.Leaf.Subject.CommonName))
	})
	return app
}
