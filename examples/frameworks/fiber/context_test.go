package fiber

import (
	"context"
	"errors"
	"testing"

	"github.com/gofiber/fiber/v3"
)

// What waits for the end of a token ends with its request: the token may be in force for hours.
func TestContextEndsWithRequest(t *testing.T) {
	guard, owner, token := world(t)
	app := New(fiber.Config{}, silent)
	kept := make(chan context.Context, 1)
	app.Use(Stage(guard.Authenticate))
	app.Get("/", Stage(guard.Confirm), func(c fiber.Ctx) error {
		ctx := c.Context()
		select {
		case <-ctx.Done():
			t.Errorf("ended before its request: %v", context.Cause(ctx))
		default:
		}
		kept <- ctx
		return nil
	})
	for range 2 {
		if status, _, _ := ask(t, app)("GET", "/", proxied(owner, token)); status != 200 {
			t.Fatalf("got %d", status)
		}
		if err := context.Cause(<-kept); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
}
