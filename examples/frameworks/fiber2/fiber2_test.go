package fiber2

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
	"github.com/seed-171ab058/popauth/examples/frameworks/shop"
)

func TestCrowd(t *testing.T) {
	start := func(t *testing.T, l net.Listener, c *tls.Config, g *popauth.Guard, d popauth.CertificateSource, s *shop.Shop) {
		serve(t, l, c, Routes(g, d, s))
	}
	crowd.Run(t, crowd.API{Serve: start})
}

func serve(t *testing.T, l net.Listener, config *tls.Config, app *fiber.App) {
	if config != nil {
		l = tls.NewListener(l, config)
	}
	t.Cleanup(func() { _ = app.Shutdown() })
	go func() { _ = app.Listener(l) }()
}
