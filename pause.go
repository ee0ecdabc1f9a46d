package popauth

import (
	"math/rand/v2"
	"time"
)

// pause is a time during which nobody is asked. The zero pause is over.
type pause struct {
	from   time.Time
	length time.Duration
}

// left is how much of it there is yet; not positive when it is over. The time that a machine was asleep counts. A pause
// that seems to begin later than now is over: the clock was set back.
func (p pause) left(now time.Time) time.Duration {
	elapsed := since(p.from, now)
	if elapsed < 0 {
		return 0
	}
	return p.length - elapsed
}

func (p pause) over(now time.Time) bool { return p.left(now) <= 0 }

// since counts the time that a machine was asleep, which the monotonic clock leaves out, and is not misled by a clock
// that was set back, as the wall clock is.
func since(at, now time.Time) time.Duration {
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// spread takes up to a fifth off, so that instances that began together don't go on together (jitter).
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // protects nothing
}

// outage is the failure of a call, with the time until the next.
type outage struct {
	error
	after time.Duration
}

func (o outage) Unwrap() error             { return o.error }
func (o outage) RetryAfter() time.Duration { return o.after }
