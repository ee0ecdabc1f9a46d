package decisions_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// Until the leeway is over the token is in force, and so is the context. It says when that will be.
func TestContextLastsForLeeway(t *testing.T) {
	const left = 10 * time.Second
	ctx := decided(t, t.Context(), left)
	if err := ctx.Err(); err != nil {
		t.Errorf("got %v before the end of the leeway", err)
	}
	end, ok := ctx.Deadline()
	if d := time.Until(end); !ok || d <= 0 || d > left {
		t.Errorf("got a deadline %t in %v, want one in %v", ok, d, left)
	}
}

// Who asks only whether a context has ended sees that its request is over, before anybody has asked for more.
func TestContextEndsWithOuter(t *testing.T) {
	outer, cancel := context.WithCancelCause(t.Context())
	ctx := decided(t, outer, time.Minute)
	gone := errors.New("gone")
	cancel(gone)
	if err := ctx.Err(); !errors.Is(err, context.Canceled) || !errors.Is(context.Cause(ctx), gone) {
		t.Errorf("got %v since %v, want %v since %v", err, context.Cause(ctx), context.Canceled, gone)
	}
}

// All who ask at once get the same channel.
func TestContextOfManyAtOnce(t *testing.T) {
	outer := httptest.NewRequest(http.MethodGet, "/", http.NoBody).Context()
	l := lab.New(t)
	g, token := l.Guard(), l.Bound()
	for range 300 {
		d, err := g.Decide(l.Owner.Request(http.MethodGet, "/orders", token).WithContext(outer))
		if err != nil {
			t.Fatal(err)
		}
		ctx, start := d.Request.Context(), make(chan struct{})
		got := make(chan (<-chan struct{}), 8)
		for range cap(got) {
			go func() {
				<-start
				got <- ctx.Done()
			}()
		}
		close(start)
		first := <-got
		for range cap(got) - 1 {
			if other := <-got; other != first {
				t.Fatal("two channels for one context")
			}
		}
	}
}

// down is a Verifier that can't reach whom it asks.
type down struct{}

func (down) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	if token == "forged" {
		return nil, popauth.ErrTokenSignature
	}
	return nil, popauth.Unavailable(ctx, errors.New("refused"))
}

// Only a context that has ended with a token, at its time, makes of an outage a token that has expired.
func TestOutageIsNotExpiry(t *testing.T) {
	expired := &popauth.Error{Reason: popauth.ErrTokenExpired}
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(expired)
	limit := func(cause error) context.Context {
		ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), cause)
		t.Cleanup(cancel)
		return ctx
	}
	g, err := popauth.New(popauth.Options{Verifier: down{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a row's
		want popauth.Reason
	}{
		{name: "in force", ctx: t.Context(), want: popauth.ErrUnavailable},
		{name: "with its token", ctx: limit(expired), want: popauth.ErrTokenExpired},
		{name: "canceled", ctx: canceled, want: popauth.ErrRequestEnded},
		{name: "a limit of its own", ctx: limit(nil), want: popauth.ErrUnavailable},
		{name: "a limit with another Reason", ctx: limit(&popauth.Error{Reason: popauth.ErrOverloaded}), want: popauth.ErrUnavailable},
		{name: "a limit with no Error", ctx: limit((*popauth.Error)(nil)), want: popauth.ErrUnavailable},
	} {
		_, err := g.Check((*popauthtest.Client)(nil).Request(http.MethodGet, "/orders", "x").WithContext(tt.ctx))
		if e, ok := errors.AsType[*popauth.Error](err); !ok || e.Reason != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	forged := (*popauthtest.Client)(nil).Request(http.MethodGet, "/orders", "forged").WithContext(limit(expired))
	if _, err := g.Check(forged); !errors.Is(err, popauth.ErrTokenSignature) {
		t.Errorf("got %v, want %v: it is no outage", err, popauth.ErrTokenSignature)
	}
}
