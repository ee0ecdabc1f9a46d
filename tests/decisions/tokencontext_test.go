package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// decided returns the context that a handler gets with a request whose token ends so soon.
func decided(t *testing.T, outer context.Context, left time.Duration) context.Context {
	t.Helper()
	l := lab.New(t)
	end := l.Clock.Now().Add(time.Hour)
	token := l.Bound(popauthtest.Claims{"exp": end.Unix()})
	l.Clock.Advance(time.Hour + 30*time.Second - time.Minute) // 30 s are the leeway by default
	d, err := l.Guard().Decide(l.Owner.Request(http.MethodGet, "/orders", token).WithContext(outer))
	if err != nil {
		t.Fatal(err)
	}
	l.Clock.Advance(time.Minute - left)
	return d.Request.Context()
}

// Why a context has ended is there for whoever asks for it first, before anything else of the context.
func TestCauseOfContextAskedFirst(t *testing.T) {
	ctx := decided(t, t.Context(), -time.Second)
	var e *popauth.Error
	if err := context.Cause(ctx); !errors.As(err, &e) || e.Reason != popauth.ErrTokenExpired {
		t.Errorf("got %v, want %v", err, popauth.ErrTokenExpired)
	}
}

// A context that has ended with its token has done so for good: that its request is over says nothing new.
func TestContextEndsOnce(t *testing.T) {
	outer, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := decided(t, outer, -time.Second)
	<-ctx.Done()
	before := ctx.Err()
	cancel()
	if after := ctx.Err(); !errors.Is(before, context.DeadlineExceeded) || !errors.Is(after, context.DeadlineExceeded) {
		t.Errorf("got %v, then %v, want %v both times", before, after, context.DeadlineExceeded)
	}
}

// secretContext is a context of a program, which has more in it than a name.
type secretContext struct {
	context.Context

	Secret string
}

// Who prints a context gets the name of what is in it, as from the contexts of package context.
func TestContextPrintsNoneOfOuter(t *testing.T) {
	const secret = "hunter2"
	for _, outer := range []context.Context{
		secretContext{t.Context(), secret}, &secretContext{t.Context(), secret}, //nolint:containedctx // as a framework's
	} {
		ctx := decided(t, outer, time.Second)
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			if got := fmt.Sprintf(verb+verb, ctx, derived); strings.Contains(got, secret) {
				t.Errorf("%s: got %s, with what is in a %T", verb, got, outer)
			}
		}
	}
}

// Many ask the same context at once, while it ends.
func TestContextOfManyAskers(t *testing.T) {
	ctx := decided(t, httptest.NewRequest(http.MethodGet, "/", http.NoBody).Context(), 20*time.Millisecond)
	done := make(chan (<-chan struct{}), 16)
	for i := range cap(done) {
		go func() {
			for ctx.Err() == nil && i%2 == 0 {
				_, _ = ctx.Deadline()
				_ = context.Cause(ctx)
			}
			done <- ctx.Done()
		}()
	}
	first := <-done
	for range cap(done) - 1 {
		if other := <-done; other != first {
			t.Error("two channels for one context")
		}
	}
	<-first
	if ctx.Err() != context.DeadlineExceeded {
		t.Errorf("got %v", ctx.Err())
	}
}
