package popauthtest

import (
	"sync"
	"time"
)

// Clock is a clock that moves only when told to. The zero Clock stands at the time of its first use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock {
	// Without its monotonic reading, a time compares by what it says.
	return &Clock{now: start.Round(0)}
}

// Now is the time that the clock shows. It fits wherever a func() time.Time is asked for: issuer.Now = clock.Now.
func (c *Clock) Now() time.Time {
	return c.Advance(0)
}

// Advance moves the clock by d, backwards if d is negative, and returns what it shows then.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.IsZero() {
		c.now = time.Now().Round(0)
	}
	c.now = c.now.Add(d)
	return c.now
}
