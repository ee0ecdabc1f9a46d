package calls

import (
	"context"
	"testing"
	"time"
)

// A slot that somebody waited for, and needs no more when he has it, is the next one's.
func TestGroupGivesItsSlotBack(t *testing.T) {
	for name, known := range map[string]bool{"known meanwhile": true, "asked by somebody else meanwhile": false} {
		g := NewGroup[string, int](1, time.Minute, time.Minute)
		q := Question[string, int]{
			Key: "a", Known: func() (int, bool) { return 1, known },
			Ask: func(context.Context) (int, error) { return 1, nil },
		}
		if !known {
			g.ongoing["a"] = &Call[int]{done: make(chan struct{})} // of another slot
		}
		g.slots <- struct{}{} // as Do has taken it
		if _, ok, ongoing := g.join(q, g.slots); ok != known || (ongoing == nil) != known {
			t.Fatalf("%s: got %t, %v", name, ok, ongoing)
		}
		select {
		case g.slots <- struct{}{}:
		default:
			t.Errorf("%s: got no slot, want the one given back", name)
		}
	}
}
