package decisions_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// lasting is the context of a server that doesn't end it with its request, as fasthttp's.
type lasting struct {
	context.Context
	done chan struct{}
}

func (l lasting) Done() <-chan struct{} { return l.done }

func (lasting) Err() error { return nil }

// What waits for a token's end goes with its request, also where the server's context doesn't end then: the token may be good for
// hours, and its owner sends as many requests as he likes.
func TestNothingWaitsBehindRequest(t *testing.T) {
	l := lab.New(t)
	token := l.Bound()
	waits := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			t.Errorf("the context has ended before its request: %v", context.Cause(r.Context()))
		default:
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
		if r.Header.Get("Panic") != "" {
			panic(http.ErrAbortHandler)
		}
	})
	g := l.Guard()
	for name, stage := range map[string]http.Handler{
		"one stage": g.Confirm(waits), "stages": g.Authenticate(g.Confirm(g.Authorize(popauth.Scope("orders.read"))(waits))),
		"two Guards": l.Guard().Authenticate(g.Confirm(waits)),
	} {
		before := runtime.NumGoroutine()
		for i := range 100 {
			r := l.Owner.Request(http.MethodGet, "/orders", token)
			if i%2 == 0 {
				r.Header.Set("Panic", "1")
			}
			serveRecovered(stage, r.WithContext(lasting{t.Context(), make(chan struct{})}))
		}
		for range 100 { // they end beside
			if runtime.NumGoroutine() <= before+5 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if after := runtime.NumGoroutine(); after > before+5 {
			t.Errorf("%s: got %d goroutines after 100 requests, want the %d of before", name, after, before)
		}
	}
}

func serveRecovered(h http.Handler, r *http.Request) {
	defer func() { _ = recover() }()
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// Where the server ends no contexts, what a handler leaves running ends with its request, as it does below net/http's server. Where
// one does, it is the server that ends them: frameworks go on with the context behind the stage.
func TestContextEndsWithRequest(t *testing.T) {
	l := lab.New(t)
	served, end := context.WithCancel(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{}))
	defer end()
	for name, tt := range map[string]struct {
		outer context.Context //nolint:containedctx // a row's
		want  error
	}{
		"none ends it":            {outer: context.Background(), want: context.Canceled},
		"a server's":              {outer: served},
		"cut off from a server's": {outer: context.WithoutCancel(served), want: context.Canceled},
	} {
		var kept context.Context
		h := l.Guard().Confirm(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			kept = r.Context()
			_ = kept.Done()
		}))
		h.ServeHTTP(httptest.NewRecorder(), l.Owner.Request(http.MethodGet, "/orders", l.Bound()).WithContext(tt.outer))
		if err := kept.Err(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if p, ok := popauth.FromContext(context.WithoutCancel(kept)); !ok || p.Subject == "" {
			t.Errorf("%s: who it was isn't there any more", name)
		}
	}
}
