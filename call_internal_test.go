package popauth

import (
	"context"
	"testing"
	"time"
)

// A slot that somebody waited for, and needs no more when he has it, is the next one's.
func TestCallGivesItsSlotBack(t *testing.T) {
	for name, known := range map[string]bool{"known meanwhile": true, "asked by somebody else meanwhile": false} {
		c := newCalls[string, int](1, time.Minute, time.Minute)
		release := make(chan struct{})
		knows := func() (int, bool) { return 1, known }
		asks := func(context.Context) (int, error) {
			<-release
			return 1, nil
		}
		if !known {
			c.ongoing["a"] = &call[int]{done: make(chan struct{})} // of another slot
		}
		c.slots <- struct{}{} // as do has taken it
		if _, ok, ongoing := c.join("a", true, knows, asks); ok != known || (ongoing == nil) != known {
			t.Fatalf("%s: got %t, %v", name, ok, ongoing)
		}
		select {
		case c.slots <- struct{}{}:
		default:
			t.Errorf("%s: got no slot, want the one given back", name)
		}
		close(release)
	}
}
