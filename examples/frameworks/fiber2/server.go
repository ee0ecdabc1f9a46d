package fiber2

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// New is fiber.New for an API with Stages. fiber.New's app answers an unreadable request with its whole head, a proxy's
// secret included: anybody gets it by a Trailer header that names Authorization. A Stage refuses all requests of an app
// that isn't made by New.
func New(config fiber.Config, logger *slog.Logger) *fiber.App {
	if config.ErrorHandler == nil {
		config.ErrorHandler = ErrorHandler(logger)
	}
	app := fiber.New(config)
	app.Server().SecureErrorLogMessage = true
	app.Server().ErrorHandler = unreadable(logger)
	return app
}

// ErrorHandler answers an error with its status alone: its text may quote the request or the database. It logs Stage's own
// refusals and the server's faults.
func ErrorHandler(logger *slog.Logger) fiber.ErrorHandler {
	return func(c *fiber.Ctx, err error) error {
		status := http.StatusInternalServerError
		if e, ok := errors.AsType[*fiber.Error](err); ok {
			status = e.Code
		}
		level := slog.LevelInfo
		if status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		refusal, refused := errors.AsType[*Refusal](err)
		switch {
		case refused:
			logger.Log(c.UserContext(), level, "request refused", "reason", refusal.Reason, "found", refusal.Found, "status", status)
		case level == slog.LevelWarn:
			logger.Log(c.UserContext(), level, "request failed", "error", err, "status", status)
		}
		return c.Status(status).SendString(http.StatusText(status))
	}
}

// unreadable answers requests that fasthttp can't read. Its error quotes the request, so neither client nor log gets it.
func unreadable(logger *slog.Logger) func(*fasthttp.RequestCtx, error) {
	return func(ctx *fasthttp.RequestCtx, err error) {
		status := http.StatusBadRequest
		timeout, ok := errors.AsType[net.Error](err)
		_, large := errors.AsType[*fasthttp.ErrSmallBuffer](err)
		switch {
		case large:
			status = http.StatusRequestHeaderFieldsTooLarge
		case errors.Is(err, fasthttp.ErrBodyTooLarge):
			status = http.StatusRequestEntityTooLarge
		case errors.Is(err, fasthttp.ErrGetOnly):
			status = http.StatusMethodNotAllowed
		case ok && timeout.Timeout(), errors.Is(err, fasthttp.ErrTimeout):
			status = http.StatusRequestTimeout
		}
		logger.Info("request can't be read", "status", status)
		ctx.Error(http.StatusText(status), status)
	}
}

// Refusal is the error that a Stage returns for a request that it refuses by itself, before a Guard has seen it.
type Refusal struct {
	Status int
	Reason string // what is wrong, and what to change. It has nothing of the request: fiber's own error handler shows it
	Found  string // what came, for the log
}

// Error returns the reason.
func (e *Refusal) Error() string { return e.Reason }

// Unwrap returns the status, as fiber's error handlers look for it.
func (e *Refusal) Unwrap() error { return fiber.NewError(e.Status) }

// refuse makes a Refusal, with what came cut and in printable ASCII.
func refuse(status int, reason, found string) *Refusal {
	return &Refusal{status, "popauth: " + reason, strconv.QuoteToASCII(found[:min(len(found), 256)])}
}

// fit refuses all requests of an app whose server isn't fit for an API.
func fit(c *fiber.Ctx) error {
	if c.App().Config().StreamRequestBody || c.Request().IsBodyStream() {
		c.Response().Header.SetConnectionClose() // what is left of the body isn't the next request
		return refuse(http.StatusInternalServerError, "StreamRequestBody is set, so that fasthttp reads trailers into the headers "+
			"after a Stage has passed, and takes an unread body for the next request; leave it out of fiber.Config", "a body as a stream")
	}
	if !c.App().Server().SecureErrorLogMessage {
		return refuse(http.StatusInternalServerError, "fiber answers a request that it can't read with its whole head, in which "+
			"a proxy's secret may be; make the app by New", "SecureErrorLogMessage is false")
	}
	return nil
}
