package calls_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// question asks with f, and knows nothing beforehand.
func question(key string, lately bool, f func(context.Context) (string, error)) calls.Question[string, string] {
	return calls.Question[string, string]{Key: key, Lately: lately, Ask: f, Known: func() (string, bool) { return "", false }}
}

func says(what string, after time.Duration) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { time.Sleep(after); return what, nil }
}

// A panic, an exit and an error end a call, and none of them keeps its slot.
func TestCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](2, time.Second, time.Minute)
		for name, f := range map[string]func(context.Context) (string, error){
			"panicked":         func(context.Context) (string, error) { panic("on purpose") },
			"did not end":      func(context.Context) (string, error) { runtime.Goexit(); return "", nil },
			"broken":           func(context.Context) (string, error) { return "", errors.New("broken") },
			"context deadline": func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() },
		} {
			for n := range 5 {
				_, err := g.Do(t.Context(), question(name, false, f))
				gone, abandoned := errors.AsType[*calls.Abandoned](err)
				if err == nil || !strings.Contains(err.Error(), name) || abandoned {
					t.Errorf("%s, call %d: got %v, %v", name, n, err, gone)
				}
			}
		}
		if v, err := g.Do(t.Context(), question("k", false, says("well", 0))); v != "well" || err != nil {
			t.Errorf("afterwards: got %q, %v", v, err)
		}
	})
}

// A request waits no longer than its context and the bound, for a slot and for an answer, and the call goes on.
func TestWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](1, time.Hour, 10*time.Second)
		gone, leave := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("left"))
		defer leave()
		for _, tt := range []struct {
			ctx  context.Context
			key  string
			want string
			took time.Duration
		}{
			{ctx: gone, key: "a", want: "left", took: 3 * time.Second},
			{ctx: gone, key: "b", want: "the calls before this one were not answered either: left", took: 0},
			{ctx: t.Context(), key: "a", want: "no answer in time", took: 10 * time.Second},
			{ctx: t.Context(), key: "b", want: "the calls before this one were not answered either: no answer in time",
				took: 10 * time.Second},
		} {
			began := time.Now()
			_, err := g.Do(tt.ctx, question(tt.key, false, says("late", time.Minute)))
			if _, ok := errors.AsType[*calls.Abandoned](err); !ok || err.Error() != tt.want || time.Since(began) != tt.took {
				t.Errorf("%s: got %v after %v, want %q after %v", tt.key, err, time.Since(began), tt.want, tt.took)
			}
		}
		time.Sleep(time.Minute)
		if v, err := g.Do(t.Context(), question("b", false, says("well", 0))); v != "well" || err != nil {
			t.Errorf("afterwards: got %q, %v", v, err)
		}
	})
}

// A slot that turns out not to be needed is given back.
func TestUnneededSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](1, time.Hour, time.Hour)
		var memory atomic.Bool
		q := question("a", false, func(context.Context) (string, error) { time.Sleep(time.Second); memory.Store(true); return "a", nil })
		q.Known = func() (string, bool) { return "a", memory.Load() }
		var all sync.WaitGroup
		all.Go(func() { _, _ = g.Do(t.Context(), question("blocks", false, says("", time.Second))) })
		synctest.Wait()
		for range 5 { // all of them wait for the slot; the first makes the call, and the others find it known
			all.Go(func() {
				if v, err := g.Do(t.Context(), q); v != "a" || err != nil {
					t.Errorf("got %q, %v", v, err)
				}
			})
		}
		all.Wait()
		if v, err := g.Do(t.Context(), question("b", false, says("b", 0))); v != "b" || err != nil {
			t.Errorf("afterwards: got %q, %v", v, err)
		}
	})
}

// A flood of strangers leaves room for what was good lately.
func TestRoomForTheLatelyKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 8
		g := calls.NewGroup[string, string](most, time.Hour, time.Minute)
		var open, peak atomic.Int64
		slow := func(context.Context) (string, error) {
			peak.Store(max(peak.Load(), open.Add(1)))
			defer open.Add(-1)
			time.Sleep(time.Second)
			return "", nil
		}
		flood, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() { _, _ = g.Do(flood, question(fmt.Sprint("made-up-", n), false, slow)) })
		}
		synctest.Wait()
		began := time.Now()
		if v, err := g.Do(t.Context(), question("good", true, says("good", 0))); v != "good" || err != nil || time.Since(began) != 0 {
			t.Errorf("known lately: got %q, %v after %v, want an answer at once", v, err, time.Since(began))
		}
		begun := false
		g.Begin(question("aside", true, func(context.Context) (string, error) { begun = true; return "", nil }))
		synctest.Wait()
		if !begun {
			t.Error("nothing was begun aside")
		}
		end()
		all.Wait()
		time.Sleep(time.Minute)
		for n := range most {
			all.Go(func() { _, _ = g.Do(t.Context(), question(fmt.Sprint(n), true, slow)) })
		}
		all.Wait()
		if peak.Load() != most {
			t.Errorf("calls at once: got %d, want %d", peak.Load(), most)
		}
	})
}

// After Forget nobody joins the call from before, and that call's end takes no newer one out.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](4, time.Hour, time.Hour)
		var n atomic.Int64
		f := func(ctx context.Context) (string, error) {
			own := n.Add(1)
			time.Sleep(time.Duration(own) * time.Second)
			return fmt.Sprint(own), ctx.Err()
		}
		want := func(all *sync.WaitGroup, want string) {
			all.Go(func() {
				if v, err := g.Do(t.Context(), question("k", false, f)); v != want || err != nil {
					t.Errorf("got %q, %v, want %q", v, err, want)
				}
			})
			synctest.Wait()
		}
		var all sync.WaitGroup
		want(&all, "1")
		g.Forget("k")
		want(&all, "2")
		time.Sleep(1500 * time.Millisecond) // the first has ended
		want(&all, "2")
		all.Wait()
	})
}
