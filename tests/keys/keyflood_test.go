package keys_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// A flood of tokens under made-up kids in one second causes one fetch that good tokens don't wait for. In a bubble
// time passes only while somebody waits, so that a good token's time is exactly what it has waited.
func TestFloodOfMadeUpKids(t *testing.T) {
	const flood = 5 * lab.Crowd // ten thousand, without the race detector
	issuer := lab.NewMemoryIssuer(t, "RS256")
	synctest.Test(t, func(t *testing.T) {
		issuer.Takes(100 * time.Millisecond)
		keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
		api := lab.NewKeyedAPI(t, issuer.URL, keys, nil)
		token := issuer.Lasting()
		api.Want(t, token, 200)
		time.Sleep(time.Minute)
		issuer.Calls.Store(0)

		var all sync.WaitGroup
		var refused, unavailable, longest atomic.Int64
		for n := range flood {
			all.Go(func() {
				time.Sleep(time.Duration(n) * time.Second / flood)
				began := time.Now()
				switch api.Ask(t.Context(), lab.MadeUp(token, n)).Code {
				case 401:
					refused.Add(1)
				case 503:
					unavailable.Add(1)
				}
				longest.Store(max(longest.Load(), int64(time.Since(began))))
			})
		}
		waited := time.Duration(0)
		for range 100 {
			time.Sleep(9 * time.Millisecond)
			began := time.Now()
			api.Want(t, token, 200)
			waited += time.Since(began)
		}
		all.Wait()
		t.Logf("%d made-up kids in a second: %d times 401, %d times 503, %d calls, the longest took %v; 100 good tokens meanwhile "+
			"waited %v",
			flood, refused.Load(), unavailable.Load(), issuer.Calls.Load(), time.Duration(longest.Load()), waited)
		if refused.Load() != flood || waited != 0 {
			t.Errorf("got %d times 401, good tokens waited %v; want %d, 0", refused.Load(), waited, flood)
		}
		wantCalls(t, issuer, "during the flood", 2) // metadata, too

		// A rotation in the middle of it is found at the next fetch, which the flood causes.
		issuer.Rotate()
		rotated, began := issuer.Lasting(), time.Now()
		for n := 0; api.Ask(t.Context(), rotated).Code != 200 && time.Since(began) < time.Hour; n++ {
			_ = api.Ask(t.Context(), lab.MadeUp(token, flood+n))
			time.Sleep(100 * time.Millisecond)
		}
		if late := time.Since(began); late > 10*time.Second {
			t.Errorf("a new key was accepted after %v, want 10s at most", late)
		}
	})
}

// With real time, for the log: machines differ too much to fail over it.
func TestFloodTakesLittleFromGoodTokens(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t, "RS256")
	api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
	token := issuer.Lasting()
	api.Want(t, token, 200)
	median := func() time.Duration {
		took := make([]time.Duration, 300)
		for n := range took {
			began := time.Now()
			_ = api.Ask(t.Context(), token)
			took[n] = time.Since(began)
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	quiet := median()
	var all sync.WaitGroup
	var stop atomic.Bool
	var sent atomic.Int64
	all.Go(func() {
		for n := 0; !stop.Load(); n++ {
			_ = api.Ask(t.Context(), lab.MadeUp(token, n))
			sent.Add(1)
			time.Sleep(100 * time.Microsecond)
		}
	})
	began := time.Now()
	flooded := median()
	stop.Store(true)
	all.Wait()
	t.Logf("a good token's median: %v, under %.0f made-up kids a second %v", quiet, float64(sent.Load())/time.Since(began).Seconds(),
		flooded)
	if got := issuer.Calls.Load(); got > 4 {
		t.Errorf("calls: got %d, want 4 at most", got)
	}
}

// A known key costs no lock and, within the module, no allocation.
func TestKnownKeyAllocations(t *testing.T) {
	issuer := lab.NewMemoryIssuer(t)
	keys := issuer.KeySet(t, popauth.RemoteKeysOptions{})
	if err := keys.Preload(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := lab.Parsed(t, issuer.Lasting())
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = keys.KeyfuncCtx(ctx)(token) }); n > 1 {
		t.Errorf("allocations: got %v, want 1 at most", n)
	}
}

func BenchmarkRemoteKeys(b *testing.B) {
	issuer := lab.NewMemoryIssuer(b)
	keys := issuer.KeySet(b, popauth.RemoteKeysOptions{})
	if err := keys.Preload(b.Context()); err != nil {
		b.Fatal(err)
	}
	token, unknown := lab.Parsed(b, issuer.Lasting()), lab.Parsed(b, lab.MadeUp(issuer.Lasting(), 0))
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = keys.KeyfuncCtx(b.Context())(token)
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = keys.KeyfuncCtx(b.Context())(unknown)
		}
	})
}
