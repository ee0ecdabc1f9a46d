package popauth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/seed-171ab058/popauth/internal/backoff"
)

// recent remembers what was found out, those used last, within a bound in entries and one in bytes.
type recent[V any] struct {
	most int64 // bytes

	mu     sync.Mutex
	memory *simplelru.LRU[[sha256.Size]byte, *kept[V]]
	bytes  int64
	ends   bool    // what counts no longer makes room at once, and is not asked for again
	out    func(V) // what becomes of a value that is put out or replaced; nil if nothing
}

// kept is a value, and for how long it counts.
type kept[V any] struct {
	value V
	time  backoff.Interval
	size  int64
}

// keptSize is what an entry needs beside its value, in bytes.
const keptSize = 320

func newRecent[V any](entries int, bytes int64) *recent[V] {
	m := &recent[V]{most: bytes}
	m.memory, _ = simplelru.NewLRU(entries, func(_ [sha256.Size]byte, k *kept[V]) { // fails for a size that is not positive only
		m.bytes -= k.size
		if m.out != nil {
			m.out(k.value)
		}
	})
	return m
}

// get returns what is remembered and counts yet, also by a clock that was set back or has been asleep.
func (m *recent[V]) get(key [sha256.Size]byte, now time.Time) (V, bool) {
	v, left, ok := m.last(key, now)
	if !ok || left <= 0 {
		var none V
		return none, false
	}
	m.touch(key)
	return v, true
}

// touch makes a value one that was used last.
func (m *recent[V]) touch(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.memory.Get(key)
}

// last returns what is remembered, and how long it counts yet; not positive if it does no more. To ask is no use.
func (m *recent[V]) last(key [sha256.Size]byte, now time.Time) (v V, left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.memory.Peek(key)
	if !ok {
		return v, 0, false
	}
	return k.value, k.time.Left(now), true
}

// put remembers a value of so many bytes.
func (m *recent[V]) put(key [sha256.Size]byte, v V, now time.Time, keep time.Duration, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, &kept[V]{v, backoff.Interval{From: now, Length: keep}, size + keptSize})
}

func (m *recent[V]) add(key [sha256.Size]byte, k *kept[V]) {
	m.memory.Remove(key)
	for m.ends {
		_, oldest, ok := m.memory.GetOldest()
		if !ok || !oldest.time.Over(k.time.From) {
			break
		}
		m.memory.RemoveOldest()
	}
	if k.size > m.most {
		if m.out != nil {
			m.out(k.value)
		}
		return
	}
	m.memory.Add(key, k)
	m.bytes += k.size
	m.fit()
}

func (m *recent[V]) fit() {
	for m.bytes > m.most {
		m.memory.RemoveOldest()
	}
}

// putPatiently is put, but puts nothing out that is younger than age. It returns false if there is no room then.
func (m *recent[V]) putPatiently(key [sha256.Size]byte, v V, now time.Time, keep time.Duration, entries int, age time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.memory.Contains(key) && m.memory.Len() >= entries {
		_, oldest, _ := m.memory.GetOldest()
		if young := backoff.Since(oldest.time.From, now); young >= 0 && young < age {
			return false
		}
	}
	m.add(key, &kept[V]{v, backoff.Interval{From: now, Length: keep}, keptSize})
	return true
}

// resize says what a value has come to need, if it is the one there. To say so is no use of it.
func (m *recent[V]) resize(key [sha256.Size]byte, same func(V) bool, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.memory.Peek(key); ok && same(k.value) {
		m.bytes += size + keptSize - k.size
		k.size = size + keptSize
		m.fit()
	}
}

// takeIf takes a value out if it is wanted, without a word to out.
func (m *recent[V]) takeIf(key [sha256.Size]byte, wanted func(V) bool) (*kept[V], bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.memory.Peek(key)
	if !ok || !wanted(k.value) {
		return nil, false
	}
	m.quietly(key)
	return k, true
}

func (m *recent[V]) quietly(key [sha256.Size]byte) {
	out := m.out
	m.out = nil
	m.memory.Remove(key)
	m.out = out
}

func (m *recent[V]) remove(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memory.Remove(key)
}
