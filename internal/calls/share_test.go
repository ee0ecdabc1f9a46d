package calls_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// A party whose calls hang takes its share of the slots, and no more, whatever it asks for. Others find room at once.
func TestAPartyTakesItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](16, time.Minute, time.Minute)
		of := func(key, party string, lately bool, f func(context.Context) (string, error)) calls.Question[string, string] {
			q := question(key, lately, f)
			q.Shares = []calls.Share[string]{{Of: party, Most: 4}, {Of: "host", Most: 8}}
			return q
		}
		var open, peak atomic.Int64
		hang := func(ctx context.Context) (string, error) {
			peak.Store(max(peak.Load(), open.Add(1)))
			defer open.Add(-1)
			<-ctx.Done()
			return "", ctx.Err()
		}
		leave, end := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n := range 100 { // lately good ones too
			all.Go(func() { _, _ = g.Do(leave, of(fmt.Sprint(n), "hangs", n%2 == 0, hang)) })
		}
		synctest.Wait()
		if peak.Load() != 4 {
			t.Errorf("calls of the party at once: got %d, want 4", peak.Load())
		}
		began := time.Now()
		if v, err := g.Do(t.Context(), of("good", "other", false, says("good", 0))); v != "good" || err != nil || time.Since(began) != 0 {
			t.Errorf("another party: got %q, %v after %v, want an answer at once", v, err, time.Since(began))
		}
		gone, left := context.WithTimeout(t.Context(), time.Second)
		defer left()
		_, err := g.Do(gone, of("more", "hangs", false, hang))
		if a, ok := errors.AsType[*calls.Abandoned](err); !ok || !a.Waiting {
			t.Errorf("one more of the party: got %v, want that it waited for a slot", err)
		}
		_, err = g.Do(gone, of("0", "hangs", true, hang)) // which is under way
		if a, ok := errors.AsType[*calls.Abandoned](err); !ok || a.Waiting {
			t.Errorf("one that is under way: got %v, want that it had begun", err)
		}
		end()
		all.Wait()
		time.Sleep(2 * time.Minute)
		if v, err := g.Do(t.Context(), of("later", "hangs", false, says("well", 0))); v != "well" || err != nil {
			t.Errorf("afterwards: got %q, %v", v, err)
		}
	})
}

// Of those who want the same, one waits for the slot. When that one leaves, another makes the call.
func TestAnotherMakesTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](1, time.Hour, time.Hour)
		var all sync.WaitGroup
		all.Go(func() { _, _ = g.Do(t.Context(), question("blocks", false, says("", 10*time.Second))) })
		synctest.Wait()
		gone, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		all.Go(func() { _, _ = g.Do(gone, question("a", false, says("the first", 0))) })
		synctest.Wait()
		var asked atomic.Int64
		for range 5 {
			all.Go(func() {
				v, err := g.Do(t.Context(), question("a", false, func(context.Context) (string, error) {
					asked.Add(1)
					time.Sleep(time.Second)
					return "another", nil
				}))
				if v != "another" || err != nil {
					t.Errorf("got %q, %v", v, err)
				}
			})
		}
		all.Wait()
		if asked.Load() != 1 {
			t.Errorf("calls: got %d, want 1", asked.Load())
		}
	})
}

// Who has waited behind others is told so, though the call has begun meanwhile; who came after that, that it is slow.
func TestBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.NewGroup[string, string](1, time.Hour, 15*time.Second)
		var all sync.WaitGroup
		all.Go(func() { _, _ = g.Do(t.Context(), question("blocks", false, says("", 10*time.Second))) })
		synctest.Wait()
		wait := func(what string, busy bool) {
			all.Go(func() {
				if _, err := g.Do(t.Context(), question("a", false, says("late", time.Minute))); errors.Is(err, calls.ErrBusy) != busy ||
					err == nil {
					t.Errorf("%s: got %v, want that too many asked at once: %t", what, err, busy)
				}
			})
			synctest.Wait()
		}
		wait("the first", true)
		wait("another", true)
		time.Sleep(12 * time.Second)
		wait("one that came later", false)
		all.Wait()
		time.Sleep(time.Minute)
	})
}
