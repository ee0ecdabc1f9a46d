package fiber2

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/examples/frameworks/internal/crowd"
	"github.com/seed-171ab058/popauth/examples/proxies"
	"github.com/seed-171ab058/popauth/internal/counterpart"
	"github.com/seed-171ab058/popauth/popauthtest"
)

var silent = slog.New(slog.DiscardHandler)

// unreadables are header lines that fasthttp can't read. What it says of them has the whole head in it.
var unreadables = map[string]string{
	"forbidden trailer":  "Trailer: Authorization\r\n",
	"control character":  "X-A: a\x01b\r\n",
	"delete":             "X-A: \x7f\r\n",
	"two lengths":        "Content-Length: 0\r\nContent-Length: 0\r\n",
	"forbidden trailers": "Trailer: Host, Authorization\r\n",
}

// Nobody gets the secret that nginx puts into a request, whether fiber can read the request or not.
func TestSecretThroughNginx(t *testing.T) {
	if _, err := proxies.Find("nginx"); err != nil {
		counterpart.Missing(t, err)
	}
	guard, _, _ := world(t)
	app := New(fiber.Config{DisableStartupMessage: true}, silent)
	app.Use(Stage(popauth.RequestLine{}.Handler))
	app.Get("/orders", Stage(guard.Confirm), func(c *fiber.Ctx) error { return c.SendStatus(200) })
	dial := behind(t, "nginx", app, popauthtest.NewCA(t))
	for name, line := range unreadables {
		status, body := talk(t, dial(nil), "GET /orders HTTP/1.1\r\nHost: api.example.com\r\n"+line+"\r\n")
		if strings.Contains(body, crowd.Secret) || status < 400 || status == http.StatusBadGateway {
			t.Errorf("VULNERABLE: %s: got %d %q, want a refusal without the secret", name, status, body)
		}
	}
}

// The same without a proxy that might refuse them. Nothing runs for a request that can't be read, and nothing of it comes back.
func TestUnreadable(t *testing.T) {
	for name, line := range unreadables {
		ran := 0
		var log strings.Builder
		app := New(fiber.Config{DisableStartupMessage: true, ErrorHandler: fiber.DefaultErrorHandler},
			slog.New(slog.NewTextHandler(&log, nil)))
		app.Use(func(c *fiber.Ctx) error { ran++; return c.SendStatus(200) })
		status, body := tell(t, app, "GET / HTTP/1.1\r\nHost: x\r\nX-Proxy-Secret: "+crowd.Secret+"\r\n"+line+"\r\n")
		if status == http.StatusOK && body == "OK" && name != "forbidden trailer" { // fasthttp v1.51 reads some of them
			continue
		}
		if status != http.StatusBadRequest || body != "Bad Request" || ran != 0 {
			t.Errorf("VULNERABLE: %s: got %d %q, handlers ran %d times, want 400 and its name alone", name, status, body, ran)
		}
		if got := log.String(); !strings.Contains(got, `msg="request can't be read" status=400`) || strings.Contains(got, crowd.Secret) {
			t.Errorf("%s: got the log %q, want one line, without the secret", name, got)
		}
	}
	for name, tt := range map[string]struct {
		request string
		want    int
	}{
		"large header": {"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 5000) + "\r\n\r\n", 431},
		"large body":   {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413},
	} {
		app := New(fiber.Config{DisableStartupMessage: true}, silent)
		if status, body := tell(t, app, tt.request); status != tt.want || body != http.StatusText(tt.want) {
			t.Errorf("%s: got %d %q, want %d", name, status, body, tt.want)
		}
	}
}

// Without New a Stage refuses, before anybody has deployed it.
func TestStageNeedsNew(t *testing.T) {
	guard, owner, token := world(t)
	ran := 0
	app := fiber.New()
	app.Get("/", Stage(guard.Confirm), func(c *fiber.Ctx) error { ran++; return c.SendStatus(200) })
	status, body, _ := ask(t, app)("GET", "/", proxied(owner, token))
	if status != 500 || ran != 0 || !strings.Contains(body, "make the app by New") {
		t.Errorf("got %d %q, handler ran %d times, want 500 and what to change", status, body, ran)
	}
}

// A caller gets the status of an error alone; the log has why, and what a Stage has refused, what came.
func TestErrorHandler(t *testing.T) {
	guard, owner, token := world(t)
	for _, tt := range []struct {
		name, path string
		status     int
		log        []string
	}{
		{"another path", "/orders/a%40b", 400, []string{
			`msg="request refused"`, "UnescapePath", `found="\"GET /orders/a%40b, changed to GET /orders/a@b\""`, "status=400"}},
		{"a handler's error", "/fail", 500, []string{`msg="request failed"`, `error="password of the database"`, "status=500"}},
		{"no route", "/nowhere", 404, nil},
	} {
		var log strings.Builder
		app := New(fiber.Config{DisableStartupMessage: true}, slog.New(slog.NewTextHandler(&log, nil)))
		app.Use(Stage(popauth.RequestLine{}.Handler))
		app.Get("/fail", func(*fiber.Ctx) error { return errors.New("password of the database") })
		app.Get("/orders/:id", Stage(guard.Confirm), func(c *fiber.Ctx) error { return c.SendStatus(200) })
		status, body, _ := ask(t, app)("GET", tt.path, proxied(owner, token))
		if status != tt.status || body != http.StatusText(tt.status) {
			t.Errorf("%s: got %d %q, want %d and its name alone", tt.name, status, body, tt.status)
		}
		if tt.log == nil && log.Len() > 0 {
			t.Errorf("%s: got the log %q, want none", tt.name, log.String())
		}
		for _, part := range tt.log {
			if !strings.Contains(log.String(), part) {
				t.Errorf("%s: got the log %q, want %s in it", tt.name, log.String(), part)
			}
		}
	}
}

// fiber's own error handler shows an error's text: that of a Refusal has nothing of the request in it.
func TestRefusalText(t *testing.T) {
	app := New(fiber.Config{DisableStartupMessage: true, ErrorHandler: fiber.DefaultErrorHandler}, silent)
	app.Use(Stage(popauth.RequestLine{}.Handler))
	for _, path := range []string{"/orders/%7Emarker", "/marker%zz"} {
		status, body := tell(t, app, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if status != 400 || !strings.HasPrefix(body, "popauth: ") || strings.Contains(body, "marker") {
			t.Errorf("%s: got %d %q, want 400 and a text of the Stage's own", path, status, body)
		}
	}
}

// With UnescapePath fiber routes by the path decoded, and so it is compared.
func TestUnescapePath(t *testing.T) {
	guard, owner, token := world(t)
	for _, tt := range []struct {
		path     string
		unescape bool
		want     int
	}{
		{"/orders/7", false, 200},
		{"/orders/7", true, 200},
		{"/orders/a%40b", false, 400}, // RequestLine.Handler makes it /orders/a@b, another route's name to fiber
		{"/orders/a%40b", true, 200},
		{"/orders/caf%C3%A9", false, 200},
		{"/orders/caf%C3%A9", true, 200},
		{"/orders/a+b", false, 200},
		{"/orders/a+b", true, 400}, // a space to fiber
		{"/orders/a%2Fb", true, 400},
		{"/orders/a%252Fb", true, 400},
	} {
		got, ran := "", 0
		app := New(fiber.Config{DisableStartupMessage: true, UnescapePath: tt.unescape}, silent)
		app.Use(Stage(popauth.RequestLine{}.Handler))
		app.Get("/orders/:id", Stage(guard.Confirm), func(c *fiber.Ctx) error { ran++; got = c.Path(); return c.SendStatus(200) })
		status, _, _ := ask(t, app)("GET", tt.path, proxied(owner, token))
		if want := map[int]int{200: 1}[tt.want]; status != tt.want || ran != want {
			t.Errorf("%s, UnescapePath %t: got %d, handler ran %d times by %q, want %d", tt.path, tt.unescape, status, ran, got, tt.want)
		}
	}
}
