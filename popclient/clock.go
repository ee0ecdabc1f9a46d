package popclient

import (
	"net/http"
	"time"
)

const (
	// clockDrift is what a Date may differ by and say nothing: it is of whole seconds.
	clockDrift = 2 * time.Second

	// maxClockDrift is how wrong a clock may be: a wrong time zone is up to 26 hours, and one that was never set years, which
	// is for whoever runs the machine to put right.
	maxClockDrift = 27 * time.Hour
)

// clock is a server's, as its Date has shown it; the zero clock is the client's own.
type clock struct{ shown, seen time.Time }

// at is what the clock shows at a time of the client's clock. It goes on with the monotonic clock, where there is one: a
// client's clock that is put right later doesn't move it.
func (c clock) at(now time.Time) time.Time {
	if c.shown.IsZero() {
		return now
	}
	return c.shown.Add(now.Sub(c.seen))
}

// corrected is the clock that a server's refusal shows, and whether it is another one than c, by which the refused proof was
// signed at a time of the client's clock. What this server says counts for its own proofs alone, and only if it is known
// whose word that is: not by plain http, not from a server that wasn't verified, not out of a cache.
func (c clock) corrected(resp *http.Response, signed, now time.Time) (clock, bool) {
	lines := resp.Header.Values("Date")
	if resp.TLS == nil || len(resp.TLS.VerifiedChains) == 0 || len(lines) != 1 || resp.Header.Get("Age") != "" {
		return c, false
	}
	shown, err := http.ParseTime(lines[0])
	if err != nil {
		return c, false
	}
	// The server has stamped it at some moment in between.
	if !shown.Before(c.at(signed).Add(-clockDrift)) && !shown.After(c.at(now).Add(clockDrift)) {
		return c, false
	}
	if off := shown.Sub(now); off < -maxClockDrift || off > maxClockDrift {
		return c, false
	}
	return clock{shown: shown, seen: now}, true
}
