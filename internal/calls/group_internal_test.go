package calls

import (
	"context"
	"testing"
	"time"
)

// A place that somebody waited for, and needs no more when he has it, is the next one's.
func TestGroupGivesItsSlotBack(t *testing.T) {
	g := NewGroup[string, int](1, time.Minute, time.Minute)
	times := 0
	q := Question[string, int]{
		Key: "a", Known: func() (int, bool) { times++; return 1, times > 1 }, // meanwhile
		Ask:    func(context.Context) (int, error) { t.Error("asked for what is known"); return 1, nil },
		Shares: []Share[string]{{Of: "party", Most: 1}},
	}
	if v, err := g.Do(t.Context(), q); v != 1 || err != nil {
		t.Fatalf("got %d, %v, want what is known", v, err)
	}
	if len(g.slots) != 0 || len(g.shares) != 0 || len(g.ongoing) != 0 {
		t.Errorf("got %d slots taken, %d shares, %d calls, want none", len(g.slots), len(g.shares), len(g.ongoing))
	}
}

// A request that had to leave before there was a place, or whose call has ended, leaves nothing behind.
func TestSharesEnd(t *testing.T) {
	g := NewGroup[string, int](4, time.Minute, time.Minute)
	hold := make(chan struct{})
	ended := make(chan struct{})
	q := func(key string) Question[string, int] {
		return Question[string, int]{
			Key: key, Known: func() (int, bool) { return 0, false },
			Ask:    func(context.Context) (int, error) { <-hold; return 1, nil },
			Shares: []Share[string]{{Of: "party", Most: 1}, {Of: "host", Most: 2}},
		}
	}
	go func() { defer close(ended); _, _ = g.Do(t.Context(), q("a")) }()
	for begun := false; !begun; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		begun = len(g.slots) == 1
		g.mu.Unlock()
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := g.Do(gone, q("b")); err == nil {
		t.Error("got a place above the share")
	}
	g.Begin(q("c"))
	g.mu.Lock()
	if len(g.slots) != 1 || g.shares["party"].users != 1 || len(g.ongoing) != 1 {
		t.Errorf("got %d slots taken, %d users, %d calls, want 1 each", len(g.slots), g.shares["party"].users, len(g.ongoing))
	}
	g.mu.Unlock()
	close(hold)
	<-ended
	for range 1000 { // the call's end is its own goroutine's
		g.mu.Lock()
		left := len(g.slots) + len(g.shares) + len(g.ongoing)
		g.mu.Unlock()
		if left == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("got %d slots taken, %d shares, %d calls, want none", len(g.slots), len(g.shares), len(g.ongoing))
}
