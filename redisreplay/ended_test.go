package redisreplay_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/redisreplay"
)

// A client that goes away while Redis says nothing is no outage. The Store's own time limit is one, and so is another
// limit of this side.
func TestRequestThatEnds(t *testing.T) {
	for _, perKey := range []int{0, 10} {
		server := newServer(t)
		s := newStore(t, server.client(), redisreplay.Options{Timeout: 200 * time.Millisecond, PerKey: perKey})
		want(t, s, "connect", true)
		server.signal(syscall.SIGSTOP)
		canceled := func() context.Context {
			ctx, end := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, end)
			return ctx
		}
		limited := func(cause error) context.Context {
			ctx, end := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, cause)
			t.Cleanup(end)
			return ctx
		}
		for name, tt := range map[string]struct {
			ctx  context.Context
			want popauth.Reason
		}{
			"canceled":                    {ctx: canceled(), want: popauth.ErrRequestEnded},
			"the client's own limit":      {ctx: limited(popauth.ErrRequestEnded), want: popauth.ErrRequestEnded},
			"another limit of this side":  {ctx: limited(nil), want: popauth.ErrUnavailable},
			"the time limit of the Store": {ctx: t.Context(), want: popauth.ErrUnavailable},
		} {
			for range 2 { // the second time the context has ended before
				fresh, err := s.Use(tt.ctx, "key", name, time.Now().Add(time.Minute))
				e, ok := errors.AsType[*popauth.Error](err)
				if fresh || !ok || e.Reason != tt.want {
					t.Errorf("PerKey %d, %s: got %t, %v, want %s", perKey, name, fresh, err, tt.want)
				}
			}
		}
		server.signal(syscall.SIGCONT)
	}
}
