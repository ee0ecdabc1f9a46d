package issuers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
)

// TestIssuersResolve is what each answer of Resolve comes to.
func TestIssuersResolve(t *testing.T) {
	l := lab.New(t)
	own := lab.VerifierOf(t, l.Issuer)
	for name, tt := range map[string]struct {
		v      popauth.Verifier
		err    error
		panics bool
		reason popauth.Reason
		calls  int64 // for three requests
	}{
		"found":               {v: own, calls: 1},
		"unknown":             {err: popauth.ErrTokenIssuer, reason: popauth.ErrTokenIssuer, calls: 1},
		"unknown, wrapped":    {err: fmt.Errorf("tenants: %w", popauth.ErrTokenIssuer), reason: popauth.ErrTokenIssuer, calls: 1},
		"nothing":             {reason: popauth.ErrTokenIssuer, calls: 1},
		"found, but an error": {v: own, err: errors.New("disk"), reason: popauth.ErrUnavailable, calls: 1},
		"error":               {err: errors.New("disk"), reason: popauth.ErrUnavailable, calls: 1},
		"outage that wraps it": {err: &popauth.Error{Reason: popauth.ErrUnavailable, Err: popauth.ErrTokenIssuer},
			reason: popauth.ErrUnavailable, calls: 1},
		"error with a reason":  {err: popauth.ErrForbidden, reason: popauth.ErrUnavailable, calls: 1},
		"panic":                {panics: true, reason: popauth.ErrUnavailable, calls: 1},
		"Verifier of others":   {v: l.IntrospectionOf("https://other.example.com"), reason: popauth.ErrUnavailable, calls: 1},
		"Verifier that is nil": {v: (*introspection.Verifier)(nil), reason: popauth.ErrUnavailable, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			v := lab.NewIssuers(t, issuers.Options{Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
				calls.Add(1)
				if iss != l.Issuer.URL {
					t.Errorf("asked about %q", iss)
				}
				if tt.panics {
					panic("oops")
				}
				return tt.v, tt.err
			}})
			for range 3 {
				if _, err := v.Verify(t.Context(), l.Bound()); (err == nil) != (tt.reason == "") ||
					err != nil && !lab.ReasonIs(err, tt.reason) {
					t.Errorf("got %v, want %q", err, tt.reason)
				}
			}
			if calls.Load() != tt.calls {
				t.Errorf("calls: got %d, want %d", calls.Load(), tt.calls)
			}
		})
	}
}

// tenants resolves https://good-… and nothing else.
type tenants struct {
	calls, open, most atomic.Int64
	takes             time.Duration
}

func (s *tenants) resolve(ctx context.Context, iss string) (popauth.Verifier, error) {
	s.calls.Add(1)
	now := s.open.Add(1)
	defer s.open.Add(-1)
	for old := s.most.Load(); now > old && !s.most.CompareAndSwap(old, now); old = s.most.Load() {
	}
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !strings.HasPrefix(iss, "https://good-") {
		return nil, popauth.ErrTokenIssuer
	}
	return lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
		return popauth.NewToken([]byte(`{"iss":"` + iss + `"}`))
	}), nil
}

func TestIssuersRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tenants{}
		v := lab.NewIssuers(t, issuers.Options{Resolve: s.resolve, Entries: 2})
		want := func(iss string, reason error, calls int64) {
			t.Helper()
			before := s.calls.Load()
			_, err := v.Verify(t.Context(), lab.TokenFrom(iss))
			synctest.Wait()
			if !errors.Is(err, reason) || s.calls.Load()-before != calls {
				t.Errorf("%s: got %v, %d calls, want %v, %d", iss, err, s.calls.Load()-before, reason, calls)
			}
		}
		want("https://good-1", nil, 1)
		want("https://good-1", nil, 0)
		want("https://bad", popauth.ErrTokenIssuer, 1)
		time.Sleep(10*time.Second - 1)
		want("https://bad", popauth.ErrTokenIssuer, 0)
		time.Sleep(time.Nanosecond)
		want("https://bad", popauth.ErrTokenIssuer, 1)
		time.Sleep(time.Hour - 10*time.Second - 1)
		want("https://good-1", nil, 0)
		time.Sleep(time.Nanosecond)
		want("https://good-1", nil, 1) // aside
		want("https://good-1", nil, 0)
		v.Remove("https://good-1")
		want("https://good-1", nil, 1)
		want("https://good-2", nil, 1)
		want("https://good-1", nil, 0)
		want("https://good-3", nil, 1)
		want("https://good-2", nil, 1) // the one used longest ago made room
	})
}

// An issuer that is removed while it is being resolved is resolved again for the next request.
func TestIssuersRemovedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tenants{takes: time.Second}
		v := lab.NewIssuers(t, issuers.Options{Resolve: s.resolve})
		const iss = "https://good-1"
		ask := func() {
			if _, err := v.Verify(t.Context(), lab.TokenFrom(iss)); err != nil {
				t.Error(err)
			}
		}
		go ask()
		time.Sleep(time.Second / 2)
		v.Remove(iss)
		go ask() // joins no call from before
		synctest.Wait()
		if got := s.calls.Load(); got != 2 {
			t.Errorf("calls during the first: got %d, want 2", got)
		}
		time.Sleep(600 * time.Millisecond) // the first has ended, and is not kept
		go ask()
		synctest.Wait()
		if got := s.open.Load(); got != 1 {
			t.Errorf("calls open: got %d, want the second alone", got)
		}
		time.Sleep(time.Second)
		ask()
		if got := s.calls.Load(); got != 2 {
			t.Errorf("calls: got %d, want 2", got)
		}
	})
}

// What Resolve began to say before Remove counts for nobody who comes after.
func TestIssuersRemovedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const iss = "https://good-1"
		s, removed := &tenants{}, atomic.Bool{}
		v := lab.NewIssuers(t, issuers.Options{Resolve: func(ctx context.Context, iss string) (popauth.Verifier, error) {
			now := removed.Load()
			time.Sleep(time.Second)
			if now {
				return nil, popauth.ErrTokenIssuer
			}
			return s.resolve(ctx, iss)
		}})
		go func() { _, _ = v.Verify(t.Context(), lab.TokenFrom(iss)) }()
		time.Sleep(time.Second / 2)
		removed.Store(true)
		v.Remove(iss)
		time.Sleep(time.Second) // the call has ended
		if _, err := v.Verify(t.Context(), lab.TokenFrom(iss)); !lab.ReasonIs(err, popauth.ErrTokenIssuer) {
			t.Errorf("got %v", err)
		}
	})
}

// Resolve is asked about nothing that can't be an issuer.
func TestIssuersAskAboutNothing(t *testing.T) {
	s := &tenants{}
	v := lab.NewIssuers(t, issuers.Options{Resolve: s.resolve})
	for token, want := range map[string]popauth.Reason{
		lab.TokenFrom(""): popauth.ErrTokenIssuer,
		lab.TokenFrom("https://good-" + strings.Repeat("x", 12<<10)): popauth.ErrTokenMalformed,
		"opaque": popauth.ErrTokenMalformed,
	} {
		if _, err := v.Verify(t.Context(), token); !lab.ReasonIs(err, want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if got := s.calls.Load(); got != 0 {
		t.Errorf("calls: got %d, want 0", got)
	}
}

// A flood of made-up issuers, and a crowd that waits for one, cost what was allowed.
func TestIssuersFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &tenants{}
		const calls, wait = 8, 2 * time.Second
		v := lab.NewIssuers(t, issuers.Options{Resolve: s.resolve, Entries: 10, Calls: calls, Wait: wait})
		want := func(iss string) {
			if _, err := v.Verify(t.Context(), lab.TokenFrom(iss)); err != nil {
				t.Error(err)
			}
		}
		for n := range 10 {
			want(fmt.Sprint("https://good-", n))
		}
		s.calls.Store(0)
		s.takes = 100 * time.Millisecond
		began := time.Now()
		var all sync.WaitGroup
		var unknown, unavailable atomic.Int64
		for n := range lab.Crowd {
			all.Go(func() {
				switch _, err := v.Verify(t.Context(), lab.TokenFrom(fmt.Sprint("https://bad-", n))); {
				case lab.ReasonIs(err, popauth.ErrTokenIssuer):
					unknown.Add(1)
				// no outage: strangers must not raise its alert
				case lab.ReasonIs(err, popauth.ErrOverloaded) && errors.Is(err, popauth.ErrUnavailable):
					unavailable.Add(1)
				}
			})
		}
		all.Wait()
		t.Logf("%d made-up issuers: %d times 401, %d times 503, %d calls, %d at once, %v", lab.Crowd, unknown.Load(), unavailable.Load(),
			s.calls.Load(), s.most.Load(), time.Since(began))
		if s.most.Load() != calls*3/4 || // the rest is kept for issuers that are known
			unknown.Load()+unavailable.Load() != lab.Crowd || time.Since(began) > wait+s.takes {
			t.Errorf("got %d at once, %d answers, after %v", s.most.Load(), unknown.Load()+unavailable.Load(), time.Since(began))
		}
		time.Sleep(time.Second)
		before := s.calls.Load()
		for n := range 10 {
			want(fmt.Sprint("https://good-", n))
		}
		if got := s.calls.Load() - before; got != 0 {
			t.Errorf("calls for good issuers: got %d, want 0", got)
		}

		gone, leave := context.WithCancel(t.Context())
		all.Go(func() { _, _ = v.Verify(gone, lab.TokenFrom("https://good-10")) })
		synctest.Wait()
		for range lab.Crowd {
			all.Go(func() { want("https://good-10") })
		}
		synctest.Wait()
		leave()
		all.Wait()
		if got := s.calls.Load() - before; got != 1 {
			t.Errorf("calls for a crowd: got %d, want 1", got)
		}
	})
}

// An issuer that is added while it is being resolved has the Verifier that was added. What Resolve finds then is nothing to
// fetch keys for.
func TestIssuersAddedMeanwhile(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t)}
	synctest.Test(t, func(t *testing.T) {
		v := lab.NewIssuers(t, issuers.Options{Resolve: func(ctx context.Context, iss string) (popauth.Verifier, error) {
			time.Sleep(time.Second)
			return e.Resolve(ctx, iss)
		}})
		gone, leave := context.WithCancel(t.Context())
		go func() { _, _ = v.Verify(gone, e.TokenOf(0)) }()
		time.Sleep(time.Second / 2)
		var asked atomic.Int64
		added := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
			asked.Add(1)
			return popauth.NewToken([]byte(`{"iss":"` + e.Tenant(0) + `"}`))
		})
		if err := v.Add(e.Tenant(0), added); err != nil {
			t.Fatal(err)
		}
		leave()
		time.Sleep(time.Second)
		synctest.Wait()
		if _, err := v.Verify(t.Context(), e.TokenOf(0)); err != nil || asked.Load() != 1 {
			t.Errorf("got %v, the added Verifier was asked %d times", err, asked.Load())
		}
		if e.Resolves.Load() != 1 || e.Calls.Load() != 0 {
			t.Errorf("resolved %d times, and %d fetches, want one and none", e.Resolves.Load(), e.Calls.Load())
		}
	})
}
