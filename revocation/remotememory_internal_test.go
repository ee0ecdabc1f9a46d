package revocation

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// An entry that was pushed out before its fetch has begun, and whose place another one has by now, leaves that one alone.
func TestPushedOutBeforeItsFetch(t *testing.T) {
	m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 1<<18, 4)
	m.mu.Lock()
	defer m.mu.Unlock()
	gone := m.entry([32]byte{1})
	delete(m.entries, gone.key)
	next := m.entry(gone.key)
	m.touch(next)
	m.hold(gone)
	m.release(gone)
	if m.entries[gone.key] != next || m.order.Len() != 1 || m.bytes != entrySize {
		t.Errorf("got %d in order and %d bytes, want one entry and %d bytes", m.order.Len(), m.bytes, entrySize)
	}
}

// What was pushed out, and is fetched again, counts once.
func TestPushedOutCountsOnce(t *testing.T) {
	m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 2*entrySize, 4)
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.entry([32]byte{1})
	for i := range byte(4) {
		e := first
		if 0 < i && i < 3 {
			e = m.entry([32]byte{1 + i})
		}
		m.hold(e)
		m.release(e)
		sum := 0
		for _, e := range m.entries {
			sum += e.bytes
		}
		if m.bytes != sum || len(m.entries) != m.order.Len() {
			t.Fatalf("got %d bytes for %d entries of %d bytes, %d in order", m.bytes, len(m.entries), sum, m.order.Len())
		}
	}
}

// An entry that has nothing yet isn't counted while anybody waits for it, though others have gone.
func TestWaitedForIsNotCounted(t *testing.T) {
	m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 2*entrySize, 4)
	m.mu.Lock()
	defer m.mu.Unlock()
	good := m.entry([32]byte{1})
	m.touch(good)
	for i := range byte(4) {
		e := m.entry([32]byte{2 + i})
		m.hold(e)
		m.hold(e)
		m.release(e)
	}
	if m.entries[good.key] != good || m.bytes != entrySize {
		t.Errorf("got that the other is kept: %t, and %d bytes; want true, %d", m.entries[good.key] == good, m.bytes, entrySize)
	}
}

// An entry that had no statement yet leaves no mark, which would take the place of another's.
func TestNoMarkOfNoStatement(t *testing.T) {
	var m marks
	at := time.Now()
	m.keep([32]byte{1}, at, 1)
	m.keep([32]byte{2}, time.Time{}, 1)
	if got := m.take([32]byte{1}); !got.Equal(at) || len(m) != 0 {
		t.Errorf("VULNERABLE: got the mark %v, and %d others; want %v, 0", got, len(m), at)
	}
}

// What was fetched counts for whoever waited for it, also where the clock has been set meanwhile, and it is too old by that.
func TestFetchedWhileTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, step := range map[string]time.Duration{"forward": 2 * time.Hour, "back": -2 * time.Minute} {
			now := time.Now()
			m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: func() time.Time { return now }}, 1<<18, 4)
			fine := &answer{this: now.Add(-time.Hour), until: now.Add(24 * time.Hour)}
			a, err := m.get(t.Context(), [32]byte{1}, askedFor("a", "a"), func(context.Context) (*answer, error) {
				now = now.Add(step)
				return fine, nil
			})
			if a != fine || err != nil {
				t.Errorf("%s: got %v, %v, want what was fetched", name, a, err)
			}
		}
	})
}

// What is known and fresh is asked for nowhere: it takes no place of a fetch, nor memory for a question.
func TestFreshIsNoQuestion(t *testing.T) {
	m := newRemote[*answer](Options{Timeout: time.Minute, MaxAge: time.Hour, Now: time.Now}, 1<<18, 4)
	fine := &answer{this: time.Now(), until: time.Now().Add(24 * time.Hour)}
	fetches, of := 0, askedFor("a", "a")
	fetch := func(context.Context) (*answer, error) {
		if fetches++; fetches > 1 {
			return nil, errors.New("fetched again")
		}
		return fine, nil
	}
	ask := func() {
		if a, err := m.get(t.Context(), [32]byte{1}, of, fetch); a != fine || err != nil {
			t.Fatalf("got %v, %v", a, err)
		}
	}
	ask()
	if got := testing.AllocsPerRun(100, ask); got > 0 || fetches != 1 {
		t.Errorf("got %v allocations and %d fetches, want 0 and 1", got, fetches)
	}
}
