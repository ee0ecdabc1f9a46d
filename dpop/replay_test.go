package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

var replayStart = time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC)

func replayMemory(tb testing.TB, entries int) (*dpop.ReplayMemory, *popauthtest.Clock) {
	tb.Helper()
	clock := popauthtest.NewClock(replayStart)
	m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: entries, Now: clock.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return m, clock
}

// replayUse uses an id of a key of its own, which no bound per key is in the way of.
func replayUse(tb testing.TB, store dpop.ReplayStore, id string, until time.Time) (bool, error) {
	tb.Helper()
	fresh, err := replayUseOf(tb, store, id, id, until)
	if errors.Is(err, popauth.ErrProofLimit) {
		tb.Errorf("Use: got error %v for the only id of its key", err)
	}
	return fresh, err
}

// replayUseOf reports what the store said, with the rule that an error is never fresh.
func replayUseOf(tb testing.TB, store dpop.ReplayStore, key, id string, until time.Time) (bool, error) {
	tb.Helper()
	fresh, err := store.Use(context.Background(), key, id, until)
	if err != nil {
		if fresh {
			tb.Errorf("Use: got fresh with error %v", err)
		}
		if errors.Is(err, popauth.ErrUnavailable) == errors.Is(err, popauth.ErrProofLimit) {
			tb.Errorf("Use: got error %v, want one that wraps either ErrUnavailable or ErrProofLimit", err)
		}
	}
	return fresh, err
}

func wantUse(tb testing.TB, store dpop.ReplayStore, id string, until time.Time, want bool) {
	tb.Helper()
	if got, err := replayUse(tb, store, id, until); got != want || err != nil {
		tb.Errorf("Use(%.20q): got %v, %v, want %v", id, got, err, want)
	}
}

func wantRefused(tb testing.TB, store dpop.ReplayStore, id string, until time.Time) {
	tb.Helper()
	if got, err := replayUse(tb, store, id, until); got || err == nil {
		tb.Errorf("Use(%.20q): got %v, %v, want an error", id, got, err)
	}
}

func TestReplayMemory(t *testing.T) {
	m, clock := replayMemory(t, 0)
	until := replayStart.Add(time.Minute)
	wantUse(t, m, "a", until, true)
	wantUse(t, m, "a", until, false)
	wantUse(t, m, "b", until, true)
	wantUse(t, m, "a", until.Add(time.Hour), false)
	clock.Advance(time.Minute)
	wantUse(t, m, "a", until, false) // through until, to the nanosecond
	clock.Advance(1)
	wantUse(t, m, "a", until, false) // over, and so never fresh
	wantUse(t, m, "a", until.Add(1), true)
	wantUse(t, m, "a", until.Add(1), false)
}

// A proof from the future is kept until its own window ends, not for a fixed time from its first use.
func TestReplayMemoryFutureProof(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 0, 5 * time.Minute} {
		m, clock := replayMemory(t, 0)
		const age, leeway = 10 * time.Minute, 5 * time.Minute
		until := replayStart.Add(skew).Add(age + leeway)
		wantUse(t, m, "a", until, true)
		wantUse(t, m, "a", until, false)
		clock.Advance(until.Sub(replayStart) - time.Second)
		wantUse(t, m, "a", until, false)
		clock.Advance(time.Second)
		wantUse(t, m, "a", until, false)
	}
}

func TestReplayMemoryConforms(t *testing.T) {
	clock := popauthtest.NewClock(replayStart)
	popauthtest.TestReplayStore(t, func() dpop.ReplayStore {
		m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: 4000, Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}, popauthtest.ReplayStoreOptions{
		Now: clock.Now, Advance: func(d time.Duration) { clock.Advance(d) }, Grace: 1, Fill: 5000,
	})
}

// Without a clock of its own, it goes by the time of the bubble that it is in.
func TestReplayMemoryConformsByTimeNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		popauthtest.TestReplayStore(t, func() dpop.ReplayStore {
			m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, popauthtest.ReplayStoreOptions{Grace: time.Millisecond})
	})
}

func TestReplayMemoryOptions(t *testing.T) {
	for _, o := range []dpop.ReplayMemoryOptions{
		{Entries: -1}, {Entries: 1<<30 + 1}, {Entries: math.MinInt},
		{PerKey: -1}, {PerKey: math.MinInt}, {Entries: 100, PerKey: 101}, {PerKey: 1<<20 + 1},
	} {
		if m, err := dpop.NewReplayMemory(o); m != nil || err == nil {
			t.Errorf("Entries %d, PerKey %d: got %v, %v, want an error", o.Entries, o.PerKey, m, err)
		}
	}
	wantRefused(t, new(dpop.ReplayMemory), "a", time.Now().Add(time.Hour))
	wantRefused(t, (*dpop.ReplayMemory)(nil), "a", time.Now().Add(time.Hour))
}

func TestReplayMemoryOneOfManyAtOnce(t *testing.T) {
	m, _ := replayMemory(t, 0)
	until := replayStart.Add(time.Minute)
	var fresh atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 10_000 {
		wg.Go(func() {
			<-start
			if ok, _ := replayUse(t, m, "a", until); ok {
				fresh.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if fresh.Load() != 1 {
		t.Errorf("fresh: got %d, want 1", fresh.Load())
	}
}

// Goroutines use the same ids in orders of their own, while the clock moves and some ids expire: no id is fresh twice
// within its time, and what is over doesn't count.
func TestReplayMemoryManyAtOnce(t *testing.T) {
	m, clock := replayMemory(t, 0)
	const goroutines, ids = 100, 1000
	var fresh [ids]atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for _, i := range rand.Perm(ids) {
				// Each id is good for longer than the clock moves at most.
				until := replayStart.Add(time.Minute + time.Duration(i)*time.Millisecond)
				if ok, _ := replayUse(t, m, strconv.Itoa(i), until); ok {
					fresh[i].Add(1)
				}
				replayUse(t, m, "short "+strconv.Itoa(g*ids+i), clock.Now().Add(50*time.Millisecond))
			}
			clock.Advance(100 * time.Millisecond)
		})
	}
	wg.Wait()
	for i := range fresh {
		if n := fresh[i].Load(); n != 1 {
			t.Errorf("id %d: fresh %d times, want once", i, n)
		}
	}
}

func TestReplayMemoryFull(t *testing.T) {
	const entries = 1000
	m, clock := replayMemory(t, entries)
	early, late := replayStart.Add(time.Minute), replayStart.Add(2*time.Minute)
	for i := range entries {
		until := late
		if i == 500 {
			until = early
		}
		wantUse(t, m, strconv.Itoa(i), until, true)
	}
	for i := range 200 {
		wantRefused(t, m, "more "+strconv.Itoa(i), late)
	}
	for i := range entries {
		wantUse(t, m, strconv.Itoa(i), late, false) // nothing was forgotten, and a replay is known as one
	}
	replayEqual(t, "Len", m.Len(), entries)

	clock.Advance(time.Minute + 1)
	wantUse(t, m, "more", late, true) // in the place of number 500, wherever that was
	wantUse(t, m, "more", late, false)
	wantRefused(t, m, "one too many", late)

	clock.Advance(time.Minute)
	later := late.Add(time.Minute)
	for i := range entries {
		wantUse(t, m, "new "+strconv.Itoa(i), later, true)
	}
	wantRefused(t, m, "one too many", later)
	replayEqual(t, "Len", m.Len(), entries)
}

// At the edge of full, goroutines take each other's expired places: the bound holds, and none is lost.
func TestReplayMemoryFullAtOnce(t *testing.T) {
	const entries, goroutines = 500, 50
	m, clock := replayMemory(t, entries)
	for round := range 20 {
		until := clock.Now().Add(time.Second)
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range 2 * entries / goroutines {
					// The second half are ids that another goroutine uses too.
					id := fmt.Sprint(round, g-g%2*(i%2), i)
					if ok, _ := replayUse(t, m, id, until); ok {
						fresh.Add(1)
					}
					if n := m.Len(); n > entries {
						t.Errorf("Len: got %d, want at most %d", n, entries)
					}
				}
			})
		}
		wg.Wait()
		replayEqual(t, "fresh", fresh.Load(), entries)
		replayEqual(t, "Len", m.Len(), entries)
		clock.Advance(time.Second + 1)
	}
}

// An id that is used again before its expired entry was cleaned away stays used when that happens.
func TestReplayMemoryUsedAgain(t *testing.T) {
	m, clock := replayMemory(t, 0)
	const ids = 2000
	for round := range 3 {
		until := clock.Now().Add(time.Second)
		for i := range ids {
			wantUse(t, m, strconv.Itoa(i), until.Add(time.Duration(i)), true)
		}
		for i := range ids {
			wantUse(t, m, strconv.Itoa(i), until.Add(time.Hour), false)
			wantUse(t, m, fmt.Sprint(round, i), until, true)
		}
		clock.Advance(time.Minute)
	}
}

func TestReplayMemoryExpiredLeave(t *testing.T) {
	m, clock := replayMemory(t, 0)
	for i := range 10_000 {
		replayUse(t, m, strconv.Itoa(i), replayStart.Add(time.Second))
	}
	clock.Advance(time.Minute)
	for i := range 12_000 {
		replayUse(t, m, "new "+strconv.Itoa(i), replayStart.Add(time.Hour))
	}
	replayEqual(t, "Len", m.Len(), 12_000)
}

// A clock that was ahead has let ids be forgotten that are good again once it is put right.
func TestReplayMemoryClockSetBack(t *testing.T) {
	m, clock := replayMemory(t, 1)
	until := replayStart.Add(time.Minute)
	wantUse(t, m, "a", until, true)
	clock.Advance(-time.Hour)
	wantUse(t, m, "a", until, false)
	clock.Advance(25 * time.Hour)
	ahead := clock.Now().Add(time.Minute)
	wantUse(t, m, "b", ahead, true) // takes the place of a
	clock.Advance(-24 * time.Hour)
	replayEqual(t, "clock", clock.Now(), replayStart)
	wantRefused(t, m, "a", until)
	wantUse(t, m, "b", ahead, false)

	// It ends when the clock is where it was.
	roomy, clock := replayMemory(t, 0)
	const many = 10_000 // so many that each of its parts gets some, and forgets some
	for i := range many {
		wantUse(t, roomy, strconv.Itoa(i), until, true)
	}
	clock.Advance(24 * time.Hour)
	for i := range many {
		wantUse(t, roomy, "ahead "+strconv.Itoa(i), clock.Now().Add(time.Minute), true)
	}
	clock.Advance(-24 * time.Hour)
	for i := range 1000 {
		if fresh, _ := replayUse(t, roomy, strconv.Itoa(i), until); fresh {
			t.Errorf("%d: fresh again after the clock was set back", i)
		}
		wantRefused(t, roomy, "next "+strconv.Itoa(i), until.Add(1))
	}
	clock.Advance(24 * time.Hour)
	for i := range 1000 {
		wantUse(t, roomy, "next "+strconv.Itoa(i), clock.Now().Add(time.Minute), true)
	}
}

func TestReplayMemoryFarTimes(t *testing.T) {
	m, clock := replayMemory(t, 0)
	for i, until := range []time.Time{
		{}, time.Unix(math.MinInt64, 0), time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), replayStart.Add(-1),
	} {
		wantUse(t, m, "past "+strconv.Itoa(i), until, false)
	}
	for i, until := range []time.Time{
		time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0),
	} {
		wantUse(t, m, "future "+strconv.Itoa(i), until, true)
		clock.Advance(time.Hour)
		wantUse(t, m, "future "+strconv.Itoa(i), until, false)
	}
}

func TestReplayMemoryContext(t *testing.T) {
	m, _ := replayMemory(t, 0)
	until := replayStart.Add(time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fresh, err := m.Use(ctx, "key", "a", until)
	if fresh || !errors.Is(err, context.Canceled) || !errors.Is(err, popauth.ErrRequestEnded) {
		t.Errorf("Use: got %v, %v, want false and an error of Canceled and ErrRequestEnded", fresh, err)
	}
	wantUse(t, m, "a", until, true) // it was not used up
}

func TestReplayMemoryAllocs(t *testing.T) {
	m, _ := replayMemory(t, 0)
	until := replayStart.Add(time.Minute)
	id := "0123456789012345678901234567890123456789012" // a SHA-256 in base64url
	n := testing.AllocsPerRun(1000, func() { replayUse(t, m, id, until) })
	replayEqual(t, "allocations for an id that is used", n, 0)
}

func replayEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
