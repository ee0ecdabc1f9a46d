package wiring_test

import (
	_ "github.com/gofiber/fiber/v2/middleware/adaptor"
	_ "github.com/quic-go/quic-go/http3"
	_ "github.com/seed-171ab058/popauth/popauthtest"
	_ "golang.org/x/net/http2/h2c"
)
