package revocation

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// hosts are those that have asked to be left alone for a while (RFC 9110, section 10.2.3), whatever they are asked for on
// behalf of one issuer.
type hosts struct {
	mu   sync.Mutex
	next map[party]time.Time
}

// party is a host, and on whose behalf it is asked: another authority's certificates may name a path there whose answer
// is somebody else's to choose.
type party struct {
	host   string
	issuer [sha256.Size]byte // name and key
	top    [sha256.Size]byte // of the authority that the root has certified: it may make any number of others
}

const maxHosts = 256

// busyError is the answer of a host that wants to be left alone.
type busyError struct {
	status int
	after  time.Duration
}

func (e *busyError) Error() string {
	return fmt.Sprintf("status %d, and not to be asked again for %v (Retry-After)", e.status, e.after.Round(time.Second))
}

// busy is an error if the host isn't to be asked yet. A time further ahead than any that is kept to was set by a clock
// that was wrong.
func (h *hosts) busy(who party, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := h.next[who].Round(0).Sub(now.Round(0))
	if left <= 0 || left > maxPause {
		delete(h.next, who)
		return nil
	}
	return &busyError{http.StatusServiceUnavailable, left}
}

// refused makes the error of an answer other than 200, and keeps to what it says of the next.
func (h *hosts) refused(who party, answer *http.Response, now time.Time) error {
	after := retryAfter(answer, now)
	if after == 0 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.next == nil {
		h.next = map[party]time.Time{}
	}
	if _, ok := h.next[who]; !ok && len(h.next) >= maxHosts {
		h.makeRoom()
	}
	h.next[who] = now.Add(after)
	return &busyError{answer.StatusCode, after}
}

// makeRoom forgets the one that may be asked again before all others, of the authority that has the most: its certificates
// may name ever other hosts.
func (h *hosts) makeRoom() {
	count := map[[sha256.Size]byte]int{}
	for who := range h.next {
		count[who.top]++
	}
	var first party
	var at time.Time
	for who, next := range h.next {
		if more := count[who.top] - count[first.top]; at.IsZero() || more > 0 || more == 0 && next.Before(at) {
			first, at = who, next
		}
	}
	delete(h.next, first)
}

// retryAfter is what a 429 or 503 says, as seconds or as a date, at most maxPause.
func retryAfter(answer *http.Response, now time.Time) time.Duration {
	if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	said := answer.Header.Get("Retry-After")
	if n, err := strconv.ParseUint(said, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxPause)
	}
	at, err := http.ParseTime(said)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxPause)
}
