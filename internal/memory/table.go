package memory

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"
)

const (
	// firstEntries is how many entries a Table has room for at first. It grows as it fills.
	firstEntries = 64

	// EntrySize is what a typical entry needs, in bytes; one that needs more counts for more.
	EntrySize = 700

	// maxSteps is how many places one entry may move the clock's hand. One that finds no room by then is not put in: the next
	// begins where it gave up.
	maxSteps = 1024

	// ways is how many places a bucket has.
	ways = 8
)

// Table is a cache of what is known of texts that were verified with the keys K, and is dropped with them: nothing in it outlives
// its key, not even what was being verified when the keys changed. Eviction is second chance (the CLOCK algorithm), with the
// places in buckets of eight. It is bounded in entries and in bytes at any moment, and Find takes no lock. Of the caches that
// libraries have, one takes a lock for each lookup, and another is above its bound until it has cleaned up.
type Table[K, V any] struct {
	Keys    K
	size    func(*V) int64
	buckets []bucket[V]
	most    int // entries
	budget  *Budget
	weight  atomic.Int64 // bytes, the table's among them
	limit   atomic.Int64 // entries that a larger table may have

	mu      sync.Mutex // of Add
	retired bool       // another one has taken its place
	entries int        // free places
	bytes   int64      // free ones
	hand    int        // the place that had to make room last
}

// bucket has the only places that an entry can be in.
type bucket[V any] struct {
	used   atomic.Uint32 // the reference bits: of each place, whether its entry was found since the hand last passed
	places [ways]atomic.Pointer[Entry[V]]
}

// Entry is a value, and the SHA-256 of the text that it belongs to.
type Entry[V any] struct {
	Value V
	Key   [32]byte
}

// newTable has twice the places, so that few entries have to share theirs.
func newTable[K, V any](keys K, size func(*V) int64, entries int) *Table[K, V] {
	m := &Table[K, V]{
		Keys: keys, size: size, buckets: make([]bucket[V], bucketsFor(entries)),
		most: entries, entries: entries, bytes: int64(entries) * EntrySize,
	}
	m.limit.Store(int64(entries))
	return m
}

// NewTable has few places, and may become one for limit entries; nil if the budget has no room for it. size is what a value and
// its place take, in bytes; it must not change.
func NewTable[K, V any](keys K, size func(*V) int64, limit int, b *Budget) *Table[K, V] {
	m := newTable(keys, size, min(limit, firstEntries))
	if !m.reserve(limit, b) {
		return nil
	}
	b.add(m)
	return m
}

// reserve takes the places out of the budget. Who makes a Table adds it to the budget's holders when it is complete: others may
// have it make room from then on.
func (m *Table[K, V]) reserve(limit int, b *Budget) bool {
	places := m.Places()
	if !b.reserve(places) {
		return false
	}
	m.limit.Store(int64(limit))
	m.budget = b
	m.weight.Store(places)
	return true
}

// Places is what the places need, in bytes, empty or not.
func (m *Table[K, V]) Places() int64 { return PlacesFor(m.most) }

// PlacesFor is what the places of a Table for so many entries need, in bytes.
func PlacesFor(entries int) int64 {
	return int64(bucketsFor(entries)) * int64(unsafe.Sizeof(bucket[struct{}]{}))
}

func bucketsFor(entries int) int { return (2*entries + ways - 1) / ways }

// Grown returns a Table with a larger table, in which everything is; nil if that can't be had.
func (m *Table[K, V]) Grown() *Table[K, V] {
	const factor = 4
	limit := int(m.limit.Load())
	larger := newTable(m.Keys, m.size, min(factor*m.most, limit))
	reserved := larger.reserve(limit, m.budget) // without mu: this Table may have to make room for it
	m.mu.Lock()
	defer m.mu.Unlock()
	if !reserved {
		m.limit.Store(int64(m.most))
		return nil
	}
	m.retired = true
	for i := range m.buckets {
		for j := range m.buckets[i].places {
			if e := m.buckets[i].places[j].Load(); e != nil && !larger.place(e) {
				m.budget.release(m.size(&e.Value))
			}
		}
	}
	m.budget.release(m.Places())
	m.budget.remove(m)
	m.budget.add(larger)
	return larger
}

// Drop gives back what the Table holds of its budget. What is put in afterwards is not kept.
func (m *Table[K, V]) Drop() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.retired {
		m.retired = true
		m.budget.release(m.weight.Load())
		m.budget.remove(m)
	}
}

func (m *Table[K, V]) bucket(key [32]byte) *bucket[V] {
	return &m.buckets[binary.BigEndian.Uint64(key[:])%uint64(len(m.buckets))]
}

// Find returns the entry of a text; nil if there is none.
func (m *Table[K, V]) Find(key [32]byte) *Entry[V] {
	b := m.bucket(key)
	for i := range b.places {
		if e := b.places[i].Load(); e != nil && e.Key == key {
			if bit := uint32(1) << i; b.used.Load()&bit == 0 {
				b.used.Or(bit)
			}
			return e
		}
	}
	return nil
}

// Add puts an entry in. It returns true, and keeps nothing, if a larger table is needed first.
func (m *Table[K, V]) Add(e *Entry[V]) (full bool) {
	size := m.size(&e.Value)
	if size > m.limit.Load()*EntrySize || !m.budget.reserve(size) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if int64(m.most) < m.limit.Load() && (m.entries == 0 || m.bytes < size || m.bucket(e.Key).full()) && !m.retired {
		m.budget.release(size)
		return true
	}
	if m.retired || !m.place(e) {
		m.budget.release(size)
	}
	return false
}

// full tells whether an entry would have to make room for the next.
func (b *bucket[V]) full() bool {
	for i := range b.places {
		if b.places[i].Load() == nil {
			return false
		}
	}
	return true
}

// place puts an entry in, and others out where there is no room. The caller holds mu, and the entry is in the budget.
func (m *Table[K, V]) place(e *Entry[V]) bool {
	size := m.size(&e.Value)
	b, free := m.bucket(e.Key), -1
	for i := range b.places {
		switch old := b.places[i].Load(); {
		case old == nil:
			free = i
		case old.Key == e.Key:
			return false // another request had the same text
		}
	}
	for i := 0; free < 0; i++ {
		if m.release(b, i%ways) {
			free = i % ways
		}
	}
	for steps := 0; m.entries == 0 || m.bytes < size; steps++ {
		if steps == maxSteps {
			return false
		}
		m.next()
	}
	m.entries--
	m.bytes -= size
	m.weight.Add(size)
	b.places[free].Store(e)
	return true
}

// next moves the hand by one place, which makes room unless its reference bit is set.
func (m *Table[K, V]) next() {
	m.hand = (m.hand + 1) % (len(m.buckets) * ways)
	m.release(&m.buckets[m.hand/ways], m.hand%ways)
}

// Bytes is what the Table takes, with its places.
func (m *Table[K, V]) Bytes() int64 { return m.weight.Load() }

func (m *Table[K, V]) shed(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.weight.Load()
	for steps := 0; before-m.weight.Load() < n && steps < maxSteps && !m.retired; steps++ {
		m.next()
	}
	return before - m.weight.Load()
}

// release clears the reference bit of a place, and empties the place if it was not set.
func (m *Table[K, V]) release(b *bucket[V], i int) bool {
	if bit := uint32(1) << i; b.used.And(^bit)&bit != 0 {
		return false
	}
	if e := b.places[i].Swap(nil); e != nil {
		m.entries++
		m.bytes += m.size(&e.Value)
		m.weight.Add(-m.size(&e.Value))
		m.budget.release(m.size(&e.Value))
	}
	return true
}

// Len counts the entries.
func (m *Table[K, V]) Len() (n int) {
	for i := range m.buckets {
		for j := range m.buckets[i].places {
			if m.buckets[i].places[j].Load() != nil {
				n++
			}
		}
	}
	return n
}
