package introspection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An answer counts as long as it was said to, and the times in it on every use.
func TestIntrospectionRemembers(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := issuer.Introspect(t)
		want := func(token string, reason error, calls int) {
			t.Helper()
			before := issuer.Introspections()
			_, err := v.Verify(t.Context(), token)
			if got := issuer.Introspections() - before; !errors.Is(err, reason) || got != calls {
				t.Errorf("got %v, %d calls, want %v, %d", err, got, reason, calls)
			}
		}
		token := issuer.Opaque()
		want(token, nil, 1)
		issuer.Revoke(token)
		time.Sleep(10*time.Second - 1)
		want(token, nil, 0)
		time.Sleep(time.Nanosecond)
		want(token, popauth.ErrTokenInvalid, 1)
		time.Sleep(5*time.Second - 1)
		want(token, popauth.ErrTokenInvalid, 0)
		time.Sleep(time.Nanosecond)
		want(token, popauth.ErrTokenInvalid, 1)

		ending := issuer.Opaque(popauthtest.Claims{"exp": time.Now().Add(4 * time.Second).Unix()})
		v = issuer.Introspect(t, func(o *introspection.Options) { o.Leeway, o.Remember = 1, time.Hour })
		want(ending, nil, 1)
		time.Sleep(4 * time.Second)
		want(ending, nil, 0)
		time.Sleep(time.Nanosecond) // remembered no longer than it is in force
		want(ending, popauth.ErrTokenExpired, 1)
		want(ending, popauth.ErrTokenExpired, 0)

		early := issuer.Opaque(popauthtest.Claims{"nbf": time.Now().Add(3 * time.Second).Unix(), "iat": popauthtest.Omit})
		want(early, popauth.ErrTokenNotYetValid, 1)
		time.Sleep(3 * time.Second)
		want(early, nil, 0) // what is remembered is what the server said, not what it came to

		lasting := issuer.Opaque(popauthtest.Claims{"exp": popauthtest.Omit})
		want(lasting, nil, 1)
		time.Sleep(time.Hour)
		want(lasting, nil, 1)

		v = issuer.Introspect(t, func(o *introspection.Options) { o.Remember = -1 })
		want(lasting, nil, 1)
		want(lasting, nil, 1)
		issuer.Revoke(lasting)
		want(lasting, popauth.ErrTokenInvalid, 1)
		want(lasting, popauth.ErrTokenInvalid, 1)
	})
}

// A failure is not remembered, and what is remembered outlasts one.
func TestIntrospectionOutage(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := issuer.Introspect(t)
		known, unknown := issuer.Opaque(), issuer.Opaque()
		if _, err := v.Verify(t.Context(), known); err != nil {
			t.Fatal(err)
		}
		issuer.Fails(lab.Unreachable)
		if _, err := v.Verify(t.Context(), known); err != nil {
			t.Errorf("known: got %v", err)
		}
		if _, err := v.Verify(t.Context(), unknown); !errors.Is(err, popauth.ErrUnavailable) {
			t.Errorf("unknown: got %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := v.Verify(t.Context(), known); !errors.Is(err, popauth.ErrUnavailable) {
			t.Errorf("known, too long ago: got %v", err)
		}
		issuer.Fails(nil)
		for _, token := range []string{known, unknown} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("well again: got %v", err)
			}
		}
	})
}

// An endpoint that asks for a pause gets one, and who is told to wait meanwhile is told how long.
func TestIntrospectionPause(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		v := issuer.Introspect(t)
		issuer.Fails(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"20"}}, Body: http.NoBody}, nil
		})
		_, _ = v.Verify(t.Context(), "a")
		time.Sleep(5 * time.Second)
		before := issuer.Calls.Load()
		_, err := v.Verify(t.Context(), "b")
		e, ok := errors.AsType[*popauth.Error](err)
		if !ok || e.Status() != 503 || e.RetryAfter() != 15*time.Second || issuer.Calls.Load() != before {
			t.Errorf("got %v, %d calls", err, issuer.Calls.Load()-before)
		}
		issuer.Fails(nil)
		time.Sleep(15 * time.Second)
		if _, err := v.Verify(t.Context(), issuer.Opaque()); err != nil {
			t.Errorf("after the pause: got %v", err)
		}
	})
}

// All who wait for one token share one call, and whoever goes away spoils it for nobody.
func TestIntrospectionShared(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		issuer.Takes(time.Second)
		v, token := issuer.Introspect(t), issuer.Opaque()
		gone, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var passed atomic.Int64
		all.Go(func() {
			if _, err := v.Verify(gone, token); !lab.ReasonIs(err, popauth.ErrRequestEnded) {
				t.Errorf("who went away: got %v", err)
			}
		})
		synctest.Wait() // the one who goes away has made the call
		for range lab.Crowd {
			all.Go(func() {
				if _, err := v.Verify(t.Context(), token); err == nil {
					passed.Add(1)
				}
			})
		}
		synctest.Wait()
		leave()
		all.Wait()
		if passed.Load() != lab.Crowd || issuer.Introspections() != 1 {
			t.Errorf("got %d passes, %d calls, want %d, 1", passed.Load(), issuer.Introspections(), lab.Crowd)
		}
	})
}

// A flood of made-up tokens takes no place from good ones, holds no more calls open than were allowed, and nobody waits
// longer than was said.
func TestIntrospectionFlood(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		const calls, wait = 8, 2 * time.Second
		v := issuer.Introspect(t, func(o *introspection.Options) {
			o.Calls, o.Wait, o.Entries, o.Remember = calls, wait, 100, time.Hour
		})
		good := make([]string, 100)
		for n := range good {
			good[n] = issuer.Opaque(popauthtest.Claims{"exp": popauthtest.Omit})
			if _, err := v.Verify(t.Context(), good[n]); err != nil {
				t.Fatal(err)
			}
		}
		var open, most atomic.Int64
		issuer.Fails(func(*http.Request) (*http.Response, error) {
			now := open.Add(1)
			defer open.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
			return &http.Response{StatusCode: 200, Body: lab.Body(`{"active":false}`)}, nil
		})
		issuer.Calls.Store(0)
		began := time.Now()
		var all sync.WaitGroup
		var refused, unavailable, other atomic.Int64
		for n := range lab.Crowd {
			all.Go(func() {
				switch _, err := v.Verify(t.Context(), fmt.Sprint("made-up-", n)); {
				case errors.Is(err, popauth.ErrTokenInvalid):
					refused.Add(1)
				case lab.ReasonIs(err, popauth.ErrOverloaded): // no outage: strangers must not raise its alert
					unavailable.Add(1)
				default:
					other.Add(1)
				}
			})
		}
		all.Wait()
		t.Logf("%d made-up tokens: %d times 401, %d times 503, %d calls, %d at once, %v", lab.Crowd, refused.Load(), unavailable.Load(),
			issuer.Calls.Load(), most.Load(), time.Since(began))
		if most.Load() != calls*3/4 || // the rest is kept for tokens that were active lately
			other.Load() != 0 || time.Since(began) > wait+100*time.Millisecond {
			t.Errorf("got %d calls at once, %d others, after %v", most.Load(), other.Load(), time.Since(began))
		}
		if got, want := issuer.Calls.Load(), int64(calls*wait/(100*time.Millisecond)); got > want+calls {
			t.Errorf("calls: got %d, want about %d", got, want)
		}
		time.Sleep(time.Second)
		before := issuer.Calls.Load()
		for _, token := range good {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("a good token: got %v", err)
			}
		}
		if got := issuer.Calls.Load() - before; got != 0 {
			t.Errorf("calls for good tokens: got %d, want 0", got)
		}
	})
}

// Neither memory grows beyond its bound, and no token is in it.
func TestIntrospectionMemoryIsBounded(t *testing.T) {
	calls := 0
	client := &http.Client{Transport: lab.RoundTrip(func(r *http.Request) (*http.Response, error) {
		calls++
		_ = r.ParseForm()
		answer := `{"active":false}`
		if strings.HasPrefix(r.PostForm.Get("token"), "good") {
			answer = lab.Active
		}
		return &http.Response{StatusCode: 200, Body: lab.Body(answer)}, nil
	})}
	v, err := introspection.New(introspection.Options{
		Issuer: "id", Endpoint: "https://id.example.com/", Audience: []string{popauthtest.Audience}, Client: client,
		Authentication: introspection.ClientSecretBasic{ID: "a", Secret: "s"}, Entries: 100, Remember: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	fill := func(n int) {
		long := strings.Repeat("x", 8<<10) // what each would cost if it were kept
		_, _ = v.Verify(t.Context(), fmt.Sprint("good", n, long))
		_, _ = v.Verify(t.Context(), fmt.Sprint("bad", n, long))
	}
	fill(0)
	for n := range 1100 {
		_, _ = v.Verify(t.Context(), fmt.Sprint("bad", n))
	}
	asked := calls
	if _, err := v.Verify(t.Context(), "good0"+strings.Repeat("x", 8<<10)); err != nil || calls != asked {
		t.Errorf("a good token after 1100 bad ones: got %v, %d calls", err, calls-asked)
	}
	for n := range 1100 {
		fill(n)
	}
	before := heap()
	for n := range 1100 {
		fill(-n)
	}
	after := heap()
	t.Logf("heap: %d KiB with both memories full, %d KiB after as many again", before>>10, after>>10)
	if after-before > 1<<20 {
		t.Errorf("heap grew by %d KiB", (after-before)>>10)
	}
	runtime.KeepAlive(v)
}

// The endpoint is looked for once an hour, and again after a failure: it may have moved.
func TestIntrospectionDiscovery(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		var found atomic.Int64
		metadata := func(w http.ResponseWriter, path string) {
			found.Add(1)
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"introspection_endpoint":%q}`, issuer.URL, issuer.URL+path)
		}
		path := "/introspect"
		const openID = "/.well-known/openid-configuration"
		issuer.Handle(openID, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { metadata(w, path) }))
		issuer.Takes(time.Second)
		v := issuer.Introspect(t, func(o *introspection.Options) { o.Endpoint, o.Remember = "", -1 })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := v.Verify(t.Context(), issuer.Opaque()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		want := func(n int64, err error) {
			t.Helper()
			if _, got := v.Verify(t.Context(), issuer.Opaque()); !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
			synctest.Wait()
			if found.Load() != n {
				t.Errorf("discoveries: got %d, want %d", found.Load(), n)
			}
		}
		want(1, nil)
		time.Sleep(time.Hour)
		began := time.Now()
		want(2, nil)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want that of the call alone: the endpoint is looked for beside it", took)
		}
		time.Sleep(time.Minute)
		path = "/moved"
		issuer.Handle("/introspect", http.NotFoundHandler())
		issuer.Handle("/moved", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(lab.Active)) }))
		want(2, popauth.ErrUnavailable)
		want(3, popauth.ErrUnavailable) // begins to look for it
		want(3, nil)
		issuer.Handle(openID, http.NotFoundHandler())
		issuer.Handle("/.well-known/oauth-authorization-server", http.NotFoundHandler())
		time.Sleep(time.Hour)
		want(3, nil) // where it was
		time.Sleep(time.Minute)
	})
}
