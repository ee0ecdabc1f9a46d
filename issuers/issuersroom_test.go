package issuers_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Tokens that nobody has signed, of real tenants, put no tenant out that has shown a genuine one.
func TestUnsignedTokensDisplaceNobody(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t)}
	synctest.Test(t, func(t *testing.T) {
		v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve, Entries: 50})
		want := func(token string, reason error) {
			t.Helper()
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, reason) {
				t.Errorf("got %v, want %v", err, reason)
			}
		}
		good := e.TokenOf(0)
		want(good, nil)
		e.Resolves.Store(0)
		e.Calls.Store(0)
		const rounds, strangers = 40, 200
		for range rounds {
			for n := range strangers {
				if _, err := v.Verify(t.Context(), e.Unsigned(1+n)); err == nil {
					t.Fatal("VULNERABLE: a token that nobody has signed")
				}
			}
			want(good, nil)
			time.Sleep(time.Second)
		}
		// 25 places, each for 10 s: what all of them together can make this API fetch, at first and for a wrong signature.
		most := 2 * int64(25*(rounds/10+1))
		t.Logf("%d unsigned tokens of %d tenants in %d s: %d fetches", rounds*strangers, strangers, rounds, e.Calls.Load())
		if got := e.Calls.Load(); got > 2*most {
			t.Errorf("fetches: got %d, want %d at most", got, 2*most)
		}
		before := e.Resolves.Load()
		want(good, nil)
		if e.Resolves.Load() != before {
			t.Error("the good tenant was resolved again")
		}
	})
}

// The place that is given away is that of the tenant whose last genuine token is oldest, whatever nobody has signed.
func TestUnsignedTokensAreNoUse(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t)}
	v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve, Entries: 2})
	want := func(n int, resolves int64) {
		t.Helper()
		e.Resolves.Store(0)
		if _, err := v.Verify(t.Context(), e.TokenOf(n)); err != nil || e.Resolves.Load() != resolves {
			t.Errorf("tenant %d: got %v, resolved %d times, want %d", n, err, e.Resolves.Load(), resolves)
		}
	}
	want(0, 1)
	want(1, 1)
	for range 10 {
		if _, err := v.Verify(t.Context(), e.Unsigned(0)); err == nil {
			t.Fatal("VULNERABLE: a token that nobody has signed")
		}
	}
	want(2, 1) // takes the place of 0
	want(1, 0)
	want(0, 1)
}

// Made-up issuers, however slowly they are found to be none, stop no tenant that is known.
func TestMadeUpIssuersStopNobody(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t)}
	synctest.Test(t, func(t *testing.T) {
		v := lab.NewIssuers(t, issuers.Options{Calls: 8, Wait: time.Second,
			Resolve: func(ctx context.Context, iss string) (popauth.Verifier, error) {
				time.Sleep(100 * time.Millisecond)
				return e.Resolve(ctx, iss)
			}})
		good := e.TokenOf(0)
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{time.Hour, 25 * time.Hour} { // resolved beside the requests; and while they wait
			time.Sleep(later)
			flood, end := context.WithCancel(t.Context())
			var all sync.WaitGroup
			for w := range 100 {
				all.Go(func() {
					for n := 0; flood.Err() == nil; n++ {
						_, _ = v.Verify(flood, lab.TokenFrom(fmt.Sprintf("https://made-up-%d-%d", w, n)))
					}
				})
			}
			time.Sleep(500 * time.Millisecond)
			for range 20 {
				if _, err := v.Verify(t.Context(), good); err != nil {
					t.Errorf("after %v: got %v", later, err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			end()
			all.Wait()
			time.Sleep(time.Second)
		}
	})
}

// A good Verifier serves until there is another whose keys can be had, and Remove ends it at once.
func TestIssuersServeUntilThereIsAnother(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(e *lab.Estate)
	}{
		{"the database is down", func(e *lab.Estate) { e.Down.Store(true) }},
		{"the tenant's issuer is down", func(e *lab.Estate) { e.Fails(lab.Unreachable) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t)}
			synctest.Test(t, func(t *testing.T) {
				v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve})
				good := e.TokenOf(0)
				want := func(what string, reason error) {
					t.Helper()
					if _, err := v.Verify(t.Context(), good); !errors.Is(err, reason) {
						t.Errorf("%s: got %v, want %v", what, err, reason)
					}
				}
				want("at first", nil)
				time.Sleep(time.Hour)
				tt.fail(e)
				e.Resolves.Store(0)
				for range 600 {
					want("meanwhile", nil)
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				if got := e.Resolves.Load(); got < 10 || got > 61 {
					t.Errorf("Resolve was asked %d times in a minute, want once a second at most", got)
				}
				time.Sleep(22 * time.Hour)
				want("almost a day later", nil)
				time.Sleep(time.Minute)
				v.Remove(e.Tenant(0))
				want("removed", popauth.ErrUnavailable)
				e.Down.Store(false)
				e.Fails(nil)
				time.Sleep(2 * time.Second)
				want("well again", nil)
				time.Sleep(time.Hour)
				e.Down.Store(true)
				time.Sleep(23*time.Hour + time.Second)
				want("more than a day later", popauth.ErrUnavailable)
				time.Sleep(time.Minute)
			})
		})
	}
}

// Whatever tenants do, what they make this API remember keeps to one bound for all of them.
func TestIssuersMemoryBytes(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t, "EdDSA")}
	const tenants, each, bound = 60, 100, 4 << 20
	v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve, Bytes: bound})
	long := popauthtest.Claims{"more": strings.Repeat("x", 6<<10)}
	tokens := make([][]string, tenants)
	for n := range tokens {
		for range each {
			tokens[n] = append(tokens[n], e.TokenOf(n, long))
		}
	}
	for n := range tokens { // the keys, which are not what is measured
		if _, err := v.Verify(t.Context(), e.TokenOf(n)); err != nil {
			t.Fatal(err)
		}
	}
	before := lab.HeapAlloc()
	for n := range tokens { // 40 MB, if all were kept
		for _, token := range tokens[n] {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	grown := lab.HeapAlloc() - before
	t.Logf("%.1f MB after %d tokens of %d tenants", grown/1e6, tenants*each, tenants)
	if grown > 1.5*bound {
		t.Errorf("got %.1f MB, want %.1f at most", grown/1e6, 1.5*bound/1e6)
	}
	runtime.KeepAlive(v)
	runtime.KeepAlive(tokens)
}

// Nobody has a table for tokens before a genuine one has come.
func TestUnsignedTokensMakeNoTable(t *testing.T) {
	e := &lab.Estate{MemoryIssuer: lab.NewMemoryIssuer(t, "EdDSA")}
	v := lab.NewIssuers(t, issuers.Options{Resolve: e.Resolve, RememberUnknown: time.Nanosecond})
	const tenants = 400
	tokens := make([]string, tenants)
	for n := range tokens {
		tokens[n] = e.Unsigned(n)
	}
	before := lab.HeapAlloc()
	for _, token := range tokens {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Fatal("VULNERABLE: a token that nobody has signed")
		}
	}
	grown := lab.HeapAlloc() - before
	t.Logf("%.1f MB after unsigned tokens of %d tenants", grown/1e6, tenants)
	if grown > 20e6 {
		t.Errorf("got %.1f MB, want the keys alone", grown/1e6)
	}
	runtime.KeepAlive(v)
	runtime.KeepAlive(tokens)
}
