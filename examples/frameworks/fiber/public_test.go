package fiber

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"

	"github.com/seed-171ab058/popauth"
)

// A stage that wraps the ResponseWriter never sees the answer: PublicAnswers would take a handler's error for a 200.
func TestWrappingStage(t *testing.T) {
	guard, owner, token := world(t)
	public := popauth.PublicAnswers(time.Hour)
	for _, tt := range []struct {
		name   string
		stages []any
	}{
		{"PublicAnswers", []any{Stage(guard.Confirm), Stage(public)}},
		{"within a stage", []any{Stage(func(h http.Handler) http.Handler { return guard.Confirm(public(h)) })}},
		{"around a stage", []any{Stage(guard.Authenticate), Stage(func(h http.Handler) http.Handler {
			return public(guard.Confirm(h))
		})}},
		{"http.TimeoutHandler", []any{Stage(guard.Confirm), Stage(func(h http.Handler) http.Handler {
			return http.TimeoutHandler(h, time.Minute, "")
		})}},
	} {
		for name, handler := range map[string]fiber.Handler{
			"404":   func(c fiber.Ctx) error { return c.SendStatus(http.StatusNotFound) },
			"500":   func(c fiber.Ctx) error { return c.Status(http.StatusInternalServerError).SendString("failed") },
			"error": func(fiber.Ctx) error { return errors.New("handler") },
			"cookie": func(c fiber.Ctx) error {
				c.Cookie(&fiber.Cookie{Name: "session", Value: "owner"})
				return c.SendString("mine")
			},
		} {
			ran := 0
			var log bytes.Buffer
			app := New(fiber.Config{}, slog.New(slog.NewTextHandler(&log, nil)))
			app.Use(func(c fiber.Ctx) error { c.Set("Cache-Control", "public, max-age=60"); return c.Next() })
			app.Get("/schemas", tt.stages[0], append(slices.Clone(tt.stages[1:]), func(c fiber.Ctx) error { ran++; return handler(c) })...)
			status, _, header := ask(t, app)("GET", "/schemas", proxied(owner, token))
			if got := header.Values("Cache-Control"); len(got) != 1 || got[0] != "no-store" {
				t.Errorf("VULNERABLE: %s, %s: got Cache-Control %q, want no-store alone", tt.name, name, got)
			}
			if status != http.StatusInternalServerError || ran != 0 {
				t.Errorf("%s, %s: got %d, handler ran %d times, want 500 and no handler", tt.name, name, status, ran)
			}
			if !strings.Contains(log.String(), "this stage wraps the ResponseWriter") {
				t.Errorf("%s, %s: got log %q, want what to change", tt.name, name, log.String())
			}
		}
	}
}

// The way that the page has for what is the same for everybody: the handler says so itself, last.
func TestPublicHandler(t *testing.T) {
	guard, owner, token := world(t)
	app := New(fiber.Config{}, silent)
	app.Get("/schemas", Stage(guard.Confirm), func(c fiber.Ctx) error {
		c.Set("Cache-Control", "public, max-age=3600")
		return c.SendString("schema")
	})
	send := ask(t, app)
	for _, tt := range []struct {
		name    string
		header  http.Header
		status  int
		control string
	}{
		{"owner", proxied(owner, token), 200, "public, max-age=3600"},
		{"nobody", http.Header{}, 401, "no-store"},
	} {
		status, _, header := send("GET", "/schemas", tt.header)
		if got := header.Get("Cache-Control"); status != tt.status || got != tt.control {
			t.Errorf("%s: got %d, Cache-Control %q, want %d, %q", tt.name, status, got, tt.status, tt.control)
		}
	}
}
