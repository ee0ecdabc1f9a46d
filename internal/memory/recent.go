package memory

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/seed-171ab058/popauth/internal/backoff"
)

// Recent remembers what was found out, those used last, within a bound in entries and one in bytes.
type Recent[V any] struct {
	most int64 // bytes

	mu     sync.Mutex
	memory *simplelru.LRU[[sha256.Size]byte, *kept[V]]
	bytes  int64
	Ends   bool    // what counts no longer makes room at once, and is not asked for again
	Out    func(V) // what becomes of a value that is put out or replaced; nil if nothing
}

// kept is a value, and for how long it counts.
type kept[V any] struct {
	Value V
	Time  backoff.Interval
	size  int64
}

// KeptSize is what an entry needs beside its value, in bytes.
const KeptSize = 320

// NewRecent makes a memory for so many entries and bytes.
func NewRecent[V any](entries int, bytes int64) *Recent[V] {
	m := &Recent[V]{most: bytes}
	m.memory, _ = simplelru.NewLRU(entries, func(_ [sha256.Size]byte, k *kept[V]) { // fails for a size that is not positive only
		m.bytes -= k.size
		if m.Out != nil {
			m.Out(k.Value)
		}
	})
	return m
}

// Get returns what is remembered and counts yet, also by a clock that was set back or has been asleep.
func (m *Recent[V]) Get(key [sha256.Size]byte, now time.Time) (V, bool) {
	v, left, ok := m.Last(key, now)
	if !ok || left <= 0 {
		var none V
		return none, false
	}
	m.Touch(key)
	return v, true
}

// Touch makes a value one that was used last.
func (m *Recent[V]) Touch(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, _ = m.memory.Get(key)
}

// Last returns what is remembered, and how long it counts yet; not positive if it does no more. To ask is no use.
func (m *Recent[V]) Last(key [sha256.Size]byte, now time.Time) (v V, left time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.memory.Peek(key)
	if !ok {
		return v, 0, false
	}
	return k.Value, k.Time.Left(now), true
}

// Put remembers a value of so many bytes.
func (m *Recent[V]) Put(key [sha256.Size]byte, v V, now time.Time, keep time.Duration, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, &kept[V]{v, backoff.Interval{From: now, Length: keep}, size + KeptSize})
}

func (m *Recent[V]) add(key [sha256.Size]byte, k *kept[V]) {
	m.memory.Remove(key)
	for m.Ends {
		_, oldest, ok := m.memory.GetOldest()
		if !ok || !oldest.Time.Over(k.Time.From) {
			break
		}
		m.memory.RemoveOldest()
	}
	if k.size > m.most {
		if m.Out != nil {
			m.Out(k.Value)
		}
		return
	}
	m.memory.Add(key, k)
	m.bytes += k.size
	m.fit()
}

func (m *Recent[V]) fit() {
	for m.bytes > m.most {
		m.memory.RemoveOldest()
	}
}

// PutPatiently is put, but puts nothing out that is younger than age. It returns false if there is no room then.
func (m *Recent[V]) PutPatiently(key [sha256.Size]byte, v V, now time.Time, keep time.Duration, entries int, age time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.memory.Contains(key) && m.memory.Len() >= entries {
		_, oldest, _ := m.memory.GetOldest()
		if young := backoff.Since(oldest.Time.From, now); young >= 0 && young < age {
			return false
		}
	}
	m.add(key, &kept[V]{v, backoff.Interval{From: now, Length: keep}, KeptSize})
	return true
}

// Resize says what a value has come to need, if it is the one there. To say so is no use of it.
func (m *Recent[V]) Resize(key [sha256.Size]byte, same func(V) bool, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.memory.Peek(key); ok && same(k.Value) {
		m.bytes += size + KeptSize - k.size
		k.size = size + KeptSize
		m.fit()
	}
}

// TakeIf takes a value out if it is wanted, without a word to out.
func (m *Recent[V]) TakeIf(key [sha256.Size]byte, wanted func(V) bool) (*kept[V], bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.memory.Peek(key)
	if !ok || !wanted(k.Value) {
		return nil, false
	}
	m.quietly(key)
	return k, true
}

func (m *Recent[V]) quietly(key [sha256.Size]byte) {
	out := m.Out
	m.Out = nil
	m.memory.Remove(key)
	m.Out = out
}

// Remove forgets a value.
func (m *Recent[V]) Remove(key [sha256.Size]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memory.Remove(key)
}

// Most is the bound in bytes.
func (m *Recent[V]) Most() int64 { return m.most }

// Bytes is what all values together need, by what was said of them.
func (m *Recent[V]) Bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}
