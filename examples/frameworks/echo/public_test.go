package echo

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/caller"
)

// echo writes the answer to an error when all middleware is through, and with the ResponseWriter that the last has handed on.
func TestPublicAnswers(t *testing.T) {
	w := caller.New(t, "orders.read")
	for name, tt := range map[string]struct {
		handler echo.HandlerFunc
		status  int
		want    string
	}{
		"200":   {func(c echo.Context) error { return c.String(http.StatusOK, "schema") }, 200, "public, max-age=3600"},
		"404":   {func(echo.Context) error { return echo.ErrNotFound }, 404, "private"},
		"error": {func(echo.Context) error { return errors.New("handler") }, 500, "private"},
		"panic": {func(echo.Context) error { panic("handler") }, 500, "private"},
		"cookie": {func(c echo.Context) error {
			c.SetCookie(&http.Cookie{Name: "session", Value: "owner", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
			return c.String(http.StatusOK, "mine")
		}, 200, "private"},
	} {
		e := echo.New()
		quiet := func(_ echo.Context, err error, _ []byte) error { return err }
		e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisableErrorHandler: true, LogErrorFunc: quiet}))
		e.GET("/schemas", tt.handler, echo.WrapMiddleware(w.Guard.Confirm), echo.WrapMiddleware(popauth.PublicAnswers(time.Hour)))
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, w.Owner.Request("GET", "/schemas", w.Token))
		if got := answer.Result().Header.Get("Cache-Control"); answer.Code != tt.status || got != tt.want {
			t.Errorf("%s: got %d, Cache-Control %q, want %d, %q", name, answer.Code, got, tt.status, tt.want)
		}
	}
}
