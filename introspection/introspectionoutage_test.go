package introspection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// told counts refusals by reason.
type told struct {
	mu      sync.Mutex
	reasons map[popauth.Reason]int
}

func (c *told) count(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason := popauth.Reason("")
	if e, ok := errors.AsType[*popauth.Error](err); ok {
		reason = e.Reason
	} else if err != nil {
		reason = popauth.Reason(err.Error())
	}
	if c.reasons == nil {
		c.reasons = map[popauth.Reason]int{}
	}
	c.reasons[reason]++
}

// want is the only thing that was told.
func (c *told) want(t *testing.T, who string, reason popauth.Reason) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.reasons) != 1 || c.reasons[reason] == 0 {
		t.Errorf("%s: got %v, want %q alone", who, c.reasons, reason)
	}
}

// An endpoint that hangs, or fails slowly, is an outage for each rightful request, whether it has the place of a known token
// or waits behind other calls, and a flood of made-up tokens doesn't hide it.
func TestOutageOfIntrospection(t *testing.T) {
	for name, fail := range map[string]func(*http.Request) (*http.Response, error){
		"hangs": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"fails": func(*http.Request) (*http.Response, error) { time.Sleep(time.Second); return lab.Answer(503, nil), nil },
	} {
		for _, flood := range []int{0, 2000} {
			t.Run(fmt.Sprintf("%s, %d made-up tokens", name, flood), func(t *testing.T) {
				issuer := lab.NewMemoryIssuer(t)
				synctest.Test(t, func(t *testing.T) {
					v := issuer.Introspect(t, func(o *introspection.Options) { o.Calls = 16 })
					known := make([]string, 200)
					for n := range known {
						known[n] = issuer.Opaque(popauthtest.Claims{"exp": popauthtest.Omit})
						if _, err := v.Verify(t.Context(), known[n]); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Minute) // they are asked about again
					issuer.Fails(fail)
					var all sync.WaitGroup
					var old, unseen told
					for n := range flood {
						all.Go(func() {
							time.Sleep(time.Duration(n) * 10 * time.Millisecond)
							_, _ = v.Verify(t.Context(), fmt.Sprint("made-up-", n))
						})
					}
					for n, token := range known {
						all.Go(func() {
							time.Sleep(time.Duration(n) * 100 * time.Millisecond)
							_, err := v.Verify(t.Context(), token)
							old.count(err)
							_, err = v.Verify(t.Context(), fmt.Sprint("not-seen-yet-", n))
							unseen.count(err)
						})
					}
					all.Wait()
					time.Sleep(time.Minute)
					old.want(t, "seen lately", popauth.ErrUnavailable)
					unseen.want(t, "not seen yet", popauth.ErrUnavailable)
				})
			})
		}
	}
}

// A flood of made-up tokens at an endpoint that is well raises no outage, also where the API limits the time of a request:
// a stranger chooses when to flood, and whoever runs the API chose the limit for what hangs.
func TestFloodIsNoOutage(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := issuer.Introspect(t, func(o *introspection.Options) { o.Calls = 8 })
		issuer.Takes(100 * time.Millisecond)
		var all sync.WaitGroup
		var strangers told
		for n := range 2000 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := v.Verify(ctx, fmt.Sprint("made-up-", n)); !errors.Is(err, popauth.ErrTokenInvalid) {
					strangers.count(err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute)
		strangers.want(t, "strangers", popauth.ErrOverloaded)

		var gone told
		ctx, leave := context.WithCancel(t.Context())
		for n := range 2000 {
			all.Go(func() {
				if _, err := v.Verify(ctx, fmt.Sprint("gone-", n)); !errors.Is(err, popauth.ErrTokenInvalid) {
					gone.count(err)
				}
			})
		}
		time.Sleep(time.Second)
		leave()
		all.Wait()
		time.Sleep(time.Minute)
		gone.want(t, "clients that gave up", popauth.ErrRequestEnded)
	})
}

// A Resolve that hangs is an outage too. One that finds more issuers than there are places for is none: anybody can name them.
func TestOutageOfResolve(t *testing.T) {
	for _, tt := range []struct {
		name    string
		resolve func(context.Context, string) (popauth.Verifier, error)
		want    popauth.Reason
	}{
		{"hangs", func(ctx context.Context, _ string) (popauth.Verifier, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, popauth.ErrUnavailable},
		{"finds too many", func(_ context.Context, iss string) (popauth.Verifier, error) {
			time.Sleep(100 * time.Millisecond)
			return slowTenant{}, nil
		}, popauth.ErrOverloaded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := lab.NewIssuers(t, issuers.Options{Resolve: tt.resolve, Entries: 2, Calls: 8, Wait: time.Second})
				var all sync.WaitGroup
				var got told
				for n := range 1000 {
					all.Go(func() {
						_, err := v.Verify(t.Context(), lab.TokenFrom(fmt.Sprint("https://tenant-", n)))
						if !errors.Is(err, popauth.ErrTokenSignature) {
							got.count(err)
						}
					})
				}
				all.Wait()
				time.Sleep(time.Minute)
				got.want(t, "whose turn didn't come", tt.want)
			})
		})
	}
}

// slowTenant is a Verifier that no token is genuine for.
type slowTenant struct{}

func (slowTenant) Verify(context.Context, string) (*popauth.Token, error) {
	return nil, popauth.ErrTokenSignature
}
