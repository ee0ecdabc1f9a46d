package popauth

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/seed-171ab058/popauth/internal/keys"
)

const (
	// defaultTokens is a token for each of more clients than most APIs have at a time, in 7 MB at most.
	defaultTokens = 10_000
	maxTokens     = 10_000_000

	// firstTokens is how many tokens a table has room for at first. It grows as it fills.
	firstTokens = 64

	// tokenSize is what a typical entry needs, in bytes; one that needs more counts for more.
	tokenSize = 700

	// maxLooks is how many places a token may cost others to wait for. One that finds no room by then is not put in: the
	// next begins where it gave up.
	maxLooks = 1024
)

// tokenMemory remembers tokens that were verified with the keys of one keySet, and is dropped with it: no token
// outlives its key, not even one that was being verified when the keys changed. It holds what a token says, never the
// token. A look takes no lock. Of the caches that libraries have, one takes a lock for each look, and another is above
// its bound until it has cleaned up.
type tokenMemory struct {
	keys    *keys.Set
	buckets []tokenBucket
	most    int // entries
	budget  *Budget
	weight  atomic.Int64 // bytes, the table's among them
	limit   atomic.Int64 // entries that a larger table may have

	mu      sync.Mutex // of put
	gone    bool       // another one has taken its place
	entries int        // free places
	bytes   int64      // free ones
	hand    int        // the place that had to make room last
}

const tokenWays = 8

// tokenBucket has the only places that a token can be in.
type tokenBucket struct {
	used   atomic.Uint32 // a bit for each place whose token was asked for since it last might have made room
	places [tokenWays]atomic.Pointer[verifiedToken]
}

// verifiedToken is what a Verifier of ours found out about a token, and the token's SHA-256. That is what ath is in a
// DPoP proof as well; to find another token that has it, or this one from it, is as hard as to forge a signature.
type verifiedToken struct {
	Token
	key [sha256.Size]byte
}

// hashOf is what the memory knows a token by.
func hashOf(token string) [sha256.Size]byte {
	space := make([]byte, 0, 1024) // on the stack, unless the token is longer than most
	return sha256.Sum256(append(space, token...))
}

// newTokenMemory has twice the places, so that few tokens have to share theirs.
func newTokenMemory(keys *keys.Set, entries int) *tokenMemory {
	m := &tokenMemory{
		keys: keys, buckets: make([]tokenBucket, (2*entries+tokenWays-1)/tokenWays),
		most: entries, entries: entries, bytes: int64(entries) * tokenSize,
	}
	m.limit.Store(int64(entries))
	return m
}

// growingTokenMemory has a small table, which may become one for limit entries; nil if the budget has no room for it.
func growingTokenMemory(keys *keys.Set, limit int, b *Budget) *tokenMemory {
	m := newTokenMemory(keys, min(limit, firstTokens))
	if !m.reserve(limit, b) {
		return nil
	}
	b.add(m)
	return m
}

// reserve takes the table out of the budget. Who makes a memory adds it to the budget's holders when it is complete: others
// may have it make room from then on.
func (m *tokenMemory) reserve(limit int, b *Budget) bool {
	table := m.table()
	if !b.reserve(table) {
		return false
	}
	m.limit.Store(int64(limit))
	m.budget = b
	m.weight.Store(table)
	return true
}

// table is what the places need, in bytes, empty or not.
func (m *tokenMemory) table() int64 {
	return int64(len(m.buckets)) * int64(unsafe.Sizeof(tokenBucket{}))
}

// grown returns a memory with a larger table, in which everything is; nil if that can't be had.
func (m *tokenMemory) grown() *tokenMemory {
	const factor = 4
	limit := int(m.limit.Load())
	larger := newTokenMemory(m.keys, min(factor*m.most, limit))
	reserved := larger.reserve(limit, m.budget) // without mu: this memory may have to make room for it
	m.mu.Lock()
	defer m.mu.Unlock()
	if !reserved {
		m.limit.Store(int64(m.most))
		return nil
	}
	m.gone = true
	for i := range m.buckets {
		for j := range m.buckets[i].places {
			if e := m.buckets[i].places[j].Load(); e != nil && !larger.place(e) {
				m.budget.release(e.size())
			}
		}
	}
	m.budget.release(m.table())
	m.budget.remove(m)
	m.budget.add(larger)
	return larger
}

// drop gives back what the memory holds of its budget. What is put in afterwards is not kept.
func (m *tokenMemory) drop() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.gone {
		m.gone = true
		m.budget.release(m.weight.Load())
		m.budget.remove(m)
	}
}

func (m *tokenMemory) bucket(key [sha256.Size]byte) *tokenBucket {
	return &m.buckets[binary.BigEndian.Uint64(key[:])%uint64(len(m.buckets))]
}

func (m *tokenMemory) find(key [sha256.Size]byte) *verifiedToken {
	b := m.bucket(key)
	for i := range b.places {
		if e := b.places[i].Load(); e != nil && e.key == key {
			if bit := uint32(1) << i; b.used.Load()&bit == 0 {
				b.used.Or(bit)
			}
			return e
		}
	}
	return nil
}

// put keeps what is known of a token. It returns true, and keeps nothing, if a larger table is needed first.
func (m *tokenMemory) put(e *verifiedToken) (full bool) {
	size := e.size()
	if size > m.limit.Load()*tokenSize || !m.budget.reserve(size) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if int64(m.most) < m.limit.Load() && (m.entries == 0 || m.bytes < size || m.bucket(e.key).full()) && !m.gone {
		m.budget.release(size)
		return true
	}
	if m.gone || !m.place(e) {
		m.budget.release(size)
	}
	return false
}

// full tells whether another token would have to make room for the next.
func (b *tokenBucket) full() bool {
	for i := range b.places {
		if b.places[i].Load() == nil {
			return false
		}
	}
	return true
}

// place puts an entry in, and others out where there is no room. The caller holds mu, and the entry is in the budget.
func (m *tokenMemory) place(e *verifiedToken) bool {
	size := e.size()
	b, free := m.bucket(e.key), -1
	for i := range b.places {
		switch old := b.places[i].Load(); {
		case old == nil:
			free = i
		case old.key == e.key:
			return false // another request had the same token
		}
	}
	for i := 0; free < 0; i++ {
		if b.release(i%tokenWays, m) {
			free = i % tokenWays
		}
	}
	for looks := 0; m.entries == 0 || m.bytes < size; looks++ {
		if looks == maxLooks {
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

// next lets the next place make room, unless its token was asked for since the last time.
func (m *tokenMemory) next() {
	m.hand = (m.hand + 1) % (len(m.buckets) * tokenWays)
	m.buckets[m.hand/tokenWays].release(m.hand%tokenWays, m)
}

func (m *tokenMemory) holds() int64 { return m.weight.Load() }

func (m *tokenMemory) shed(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.weight.Load()
	for looks := 0; before-m.weight.Load() < n && looks < maxLooks && !m.gone; looks++ {
		m.next()
	}
	return before - m.weight.Load()
}

// release empties a place, unless its token was asked for since the last time.
func (b *tokenBucket) release(i int, m *tokenMemory) bool {
	if bit := uint32(1) << i; b.used.And(^bit)&bit != 0 {
		return false
	}
	if e := b.places[i].Swap(nil); e != nil {
		m.entries++
		m.bytes += e.size()
		m.weight.Add(-e.size())
		m.budget.release(e.size())
	}
	return true
}

// size is about what the garbage collector counts for the entry and its place.
func (e *verifiedToken) size() int64 { return e.Size() }
