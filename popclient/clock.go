package popclient

import (
	"net/http"
	"strings"
	"time"
)

const (
	// clockDrift is what a Date may differ by and say nothing: it is of whole seconds.
	clockDrift = 2 * time.Second

	// maxClockDrift is how wrong a clock may be: a wrong time zone is up to 26 hours, and one that was never set years, which
	// is for whoever runs the machine to put right.
	maxClockDrift = 27 * time.Hour

	// clockRest is how long an origin gets no proofs by another clock after it has refused one: the time isn't what it
	// minds, or the Date is somebody else's, and each try costs a request.
	clockRest = time.Minute
)

// clock is a server's, as its Date has shown it; the zero clock is the client's own.
type clock struct{ shown, seen time.Time }

// own tells whether the clock is the client's.
func (c clock) own() bool { return c.shown.IsZero() }

// at is what the clock shows at a time of the client's clock. It goes on with the monotonic clock, where there is one: a
// client's clock that is put right later doesn't move it.
func (c clock) at(now time.Time) time.Time {
	if c.own() {
		return now
	}
	return c.shown.Add(now.Sub(c.seen))
}

// corrected is the clock that a server's refusal shows, if it is another one than c, by which the refused proof was
// signed at a time of the client's clock. What this server says counts for its own proofs alone, and only if it is known
// whose word that is: not by plain http, not from a server that wasn't verified, not out of a cache.
func (c clock) corrected(resp *http.Response, signed, now time.Time) (clock, bool) {
	lines := resp.Header.Values("Date")
	if resp.TLS == nil || len(resp.TLS.VerifiedChains) == 0 || len(lines) != 1 || resp.Header.Get("Age") != "" {
		return clock{}, false
	}
	shown, err := http.ParseTime(lines[0])
	if err != nil {
		return clock{}, false
	}
	// The server has stamped it at some moment in between.
	if !shown.Before(c.at(signed).Add(-clockDrift)) && !shown.After(c.at(now).Add(clockDrift)) {
		return clock{}, false
	}
	if off := shown.Sub(now); off < -maxClockDrift || off > maxClockDrift {
		return clock{}, false
	}
	return clock{shown: shown, seen: now}, true
}

// another returns the clock to sign by instead of the one by which a proof was just refused. A Date may be that of a proxy,
// which knows nothing of the time that the proof is held against: so a clock is another one's for this request alone, until
// settle has seen that it is right. A second clock is tried once for each request, and not again for a while if it was
// refused as well.
func (e *exchange) another(resp *http.Response, sent known) (clock, bool) {
	now, present := e.key.now(), time.Now()
	shown, other := clock{}, false
	if strings.HasPrefix(e.origin, "https:") { // in plain http by a TLS proxy, Response.TLS is the proxy's
		shown, other = sent.clock.corrected(resp, e.signed, now)
	}
	if e.tried {
		e.nonces.keep(e.origin, func(k *known) {
			k.rest = present.Add(clockRest)
			if !sent.clock.own() {
				k.clock = clock{}
			}
		})
		// A trial that began the request was the first; the client's own clock may be right.
		return clock{}, !e.repeated && !sent.clock.own()
	}
	if present.Before(sent.rest) || !other && sent.clock.near(now) {
		return sent.clock, false
	}
	e.tried = true
	return shown, true // without news, the client's own
}

// near tells whether the clock shows what the client's own does.
func (c clock) near(now time.Time) bool {
	off := c.at(now).Sub(now)
	return -clockDrift <= off && off <= clockDrift
}

// settle keeps the clock that was tried, if the proof was accepted: what a server answers before it looks at proofs says
// nothing. An assertion was accepted if a token came of it; what else is refused may have been looked at before, and the
// next request tries the clock once more.
func (e *exchange) settle(resp *http.Response, by clock) {
	if s := resp.StatusCode; !e.tried || s >= 500 || s == http.StatusUnauthorized || s == http.StatusTooManyRequests {
		return
	}
	e.nonces.keep(e.origin, func(k *known) {
		if e.authenticate != nil && resp.StatusCode >= http.StatusMultipleChoices {
			k.trial = by
			return
		}
		k.clock = by
	})
}

// postpone leaves the clock that this request can't try to the next one.
func (e *exchange) postpone(sent, next known) {
	if next.clock != sent.clock && !next.clock.own() {
		e.nonces.keep(e.origin, func(k *known) { k.trial = next.clock })
	}
}
