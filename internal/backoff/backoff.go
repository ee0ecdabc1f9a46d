package backoff

import (
	"math/rand/v2"
	"time"
)

// Interval is a time during which nobody is asked. The zero pause is over.
type Interval struct {
	From   time.Time
	Length time.Duration
}

// Left is how much of it there is yet; not positive when it is over. The time that a machine was asleep counts. A pause
// that seems to begin later than now is over: the clock was set back.
func (p Interval) Left(now time.Time) time.Duration {
	elapsed := Since(p.From, now)
	if elapsed < 0 {
		return 0
	}
	return p.Length - elapsed
}

// Over tells whether the interval is over.
func (p Interval) Over(now time.Time) bool { return p.Left(now) <= 0 }

// Since counts the time that a machine was asleep, which the monotonic clock leaves out, and is not misled by a clock
// that was set back, as the wall clock is.
func Since(at, now time.Time) time.Duration {
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// Jitter takes up to a fifth off, so that instances that began together don't go on together (jitter).
func Jitter(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // protects nothing
}

// First is the shortest time between two calls that fail. It grows up to what the caller sets if old answers serve; without
// any, nothing matters more than the first moment at which there are some.
const First = time.Second

// After returns a failure of a call that says with RetryAfter how long nobody is asked.
func After(err error, wait time.Duration) error { return outage{err, wait} }

type outage struct {
	error
	wait time.Duration
}

func (o outage) Unwrap() error             { return o.error }
func (o outage) RetryAfter() time.Duration { return o.wait }
