package revocation

import (
	"crypto/sha256"
	"errors"
	"time"
)

func (e *entry[T]) isCurrent(now time.Time) bool {
	var none T
	return e.value != none && current(now, e.value)
}

// reach notes that the source is being asked: a fetch may have had to wait before for others to end.
func (m *remote[T]) reach(e *entry[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold(e) // until it has landed
	e.reached = time.Now()
}

// failing tells that the source has failed, and was last known to not long ago: until its pause is over, and for as long
// after that as the next fetch takes. Meanwhile it is one request that waits for that, not all.
func (e *entry[T]) failing(now time.Time, timeout time.Duration) bool {
	if e.err == nil || e.next.IsZero() {
		return false
	}
	after := now.Round(0).Sub(e.next.Round(0))
	return -maxPause <= after && after <= pause+timeout
}

// leastShare is the part of Timeout for which a source is asked at least before it counts as one that doesn't answer.
const leastShare = 8

// mayBeOld tells whether an acquittal that is older than MaxAge counts: because its own source has failed, or has been
// asked for long enough. Not because it couldn't be asked, as where others hold all places, nor because the caller is gone.
func (e *entry[T]) mayBeOld(now time.Time, ended error, timeout time.Duration) bool {
	switch {
	case e.failing(now, timeout):
		return true
	case e.reached.IsZero():
		return false
	}
	return ended == nil || errors.Is(ended, errShare) && time.Since(e.reached) >= timeout/leastShare
}

// mark is when the newest statement was issued that came, apart from one of the future.
func (e *entry[T]) mark(now time.Time) time.Time {
	var none T
	if e.value != none && !ahead(now, e.value) {
		return later(e.newest, e.value.issued())
	}
	return e.newest
}

// marks are kept of entries that had to go, so that no older statement takes their place.
type marks map[[sha256.Size]byte]time.Time

// markShare is how many bytes of the memory for statements there are to a mark, which takes about a tenth of that beside it.
const markShare = 1 << 10

func (m *marks) take(key [sha256.Size]byte) time.Time {
	at := (*m)[key]
	delete(*m, key)
	return at
}

// keep forgets another one if there are too many.
func (m *marks) keep(key [sha256.Size]byte, at time.Time, most int) {
	if at.IsZero() {
		return
	}
	if *m == nil {
		*m = marks{}
	}
	for other := range *m {
		if len(*m) < most {
			break
		}
		delete(*m, other)
	}
	(*m)[key] = at
}
