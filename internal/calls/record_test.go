package calls_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// crowd asks for 600 keys, as 200 do who come within two seconds and wait one after the other for three of them.
func crowd(ctx context.Context, g *calls.Group[string, string], limit time.Duration, ask func(n int) asking) *ends {
	var all sync.WaitGroup
	e := &ends{}
	for n := range 200 {
		all.Go(func() {
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
			for round := range 3 {
				own, end := context.WithTimeout(ctx, limit)
				_, err := g.Do(own, question(fmt.Sprint(n, " ", round), false, ask(n+round)))
				end()
				e.count(err)
			}
		})
	}
	all.Wait()
	return e
}

// asking is what finds an answer out.
type asking = func(context.Context) (string, error)

// ends counts what waits came to.
type ends struct {
	mu                     sync.Mutex
	busy, outage, answered int
}

func (e *ends) count(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.answered++
	case errors.Is(err, calls.ErrBusy):
		e.busy++
	default:
		e.outage++
	}
}

func hangs(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }

func fails(context.Context) (string, error) {
	time.Sleep(700 * time.Millisecond)
	return "", errors.New("broken")
}

// Whose turn doesn't come is told whether that is for the crowd, or for calls that get no answer.
func TestTurnsThatDontCome(t *testing.T) {
	always := func(f asking) func(int) asking {
		return func(int) asking { return f }
	}
	const hour = time.Hour
	quick, slow := always(says("", 200*time.Millisecond)), always(says("", 900*time.Millisecond))
	late := always(says("", 1100*time.Millisecond))
	mostly := func(n int) asking {
		if n%10 == 0 {
			return says("", 100*time.Millisecond)
		}
		return hangs
	}
	for _, tt := range []struct {
		name            string
		ask             func(int) asking
		limit           time.Duration // of a request
		crowded, outage bool          // what is told
	}{
		{name: "all is well", ask: quick, limit: hour, crowded: true},
		{name: "all is well, though slow", ask: slow, limit: hour, crowded: true},
		{name: "all is well, and requests have a limit", ask: quick, limit: 500 * time.Millisecond, crowded: true},
		{name: "nothing is answered", ask: always(hangs), limit: hour, outage: true},
		{name: "nothing is answered, and requests have a limit", ask: always(hangs), limit: 500 * time.Millisecond, outage: true},
		{name: "all calls fail", ask: always(fails), limit: hour, outage: true},
		{name: "answers come too late", ask: late, limit: hour, outage: true},
		{name: "one of ten is answered", ask: mostly, limit: hour, outage: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := calls.NewGroup[string, string](8, 2*time.Second, time.Second)
				got := crowd(t.Context(), g, tt.limit, tt.ask)
				time.Sleep(2 * time.Second) // for the calls that nobody waits for
				if tt.crowded != (got.busy > 0) || tt.outage != (got.outage > 0) {
					t.Errorf("got %d told of an outage, %d of a crowd, want an outage: %t, a crowd: %t", got.outage, got.busy, tt.outage,
						tt.crowded)
				}
			})
		})
	}
}

// Whoever was good lately decides what an outage is, since what others ask for is a stranger's choice: calls of strangers
// that hang are none while the known are answered, and strangers that are answered hide none.
func TestStrangersNeitherRaiseNorHideAnOutage(t *testing.T) {
	quick := says("", 50*time.Millisecond)
	for _, tt := range []struct {
		name             string
		strangers, known asking
		lately           bool // who waits behind them
		busy             bool
	}{
		{name: "a stranger, while strangers' calls hang", strangers: hangs, known: says("", 400*time.Millisecond), busy: true},
		{name: "a stranger, while the known's calls hang", strangers: quick, known: hangs, busy: true},
		{name: "a known one, while the known's calls hang", strangers: quick, known: hangs, lately: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := calls.NewGroup[string, string](8, 5*time.Second, time.Second)
				over, end := context.WithCancel(t.Context())
				var all sync.WaitGroup
				everybody := func(name string, lately bool, most int, f asking) {
					for w := range most {
						all.Go(func() {
							for n := 0; over.Err() == nil; n++ {
								_, _ = g.Do(over, question(fmt.Sprint(name, w, " ", n), lately, f))
							}
						})
					}
					synctest.Wait()
				}
				if tt.lately { // the known have no slot left
					everybody("known", true, 6, tt.known)
					everybody("stranger", false, 100, tt.strangers)
				} else {
					everybody("stranger", false, 100, tt.strangers)
					everybody("known", true, 2, tt.known)
				}
				own, leave := context.WithTimeout(t.Context(), 900*time.Millisecond)
				defer leave()
				_, err := g.Do(own, question("behind", tt.lately, hangs))
				if err == nil || errors.Is(err, calls.ErrBusy) != tt.busy {
					t.Errorf("got %v, want %v: %t", err, calls.ErrBusy, tt.busy)
				}
				end()
				all.Wait()
				time.Sleep(10 * time.Second) // for the calls that nobody waits for
			})
		})
	}
}
