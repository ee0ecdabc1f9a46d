package popauth

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// defaultTokens is a token for each of more clients than most APIs have at a time, in 7 MB at most.
	defaultTokens = 10_000
	maxTokens     = 10_000_000

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
	keys    *keySet
	buckets []tokenBucket
	most    int // entries

	mu      sync.Mutex // of put
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

// newTokenMemory has twice the places, so that few tokens have to share theirs.
func newTokenMemory(keys *keySet, entries int) *tokenMemory {
	return &tokenMemory{
		keys: keys, buckets: make([]tokenBucket, (2*entries+tokenWays-1)/tokenWays),
		most: entries, entries: entries, bytes: int64(entries) * tokenSize,
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

func (m *tokenMemory) put(e *verifiedToken) {
	size := e.size()
	if size > int64(m.most)*tokenSize {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, free := m.bucket(e.key), -1
	for i := range b.places {
		switch old := b.places[i].Load(); {
		case old == nil:
			free = i
		case old.key == e.key:
			return // another request had the same token
		}
	}
	for i := 0; free < 0; i++ {
		if b.release(i%tokenWays, m) {
			free = i % tokenWays
		}
	}
	for looks := 0; m.entries == 0 || m.bytes < size; looks++ {
		if looks == maxLooks {
			return
		}
		m.hand = (m.hand + 1) % (len(m.buckets) * tokenWays)
		m.buckets[m.hand/tokenWays].release(m.hand%tokenWays, m)
	}
	m.entries--
	m.bytes -= size
	b.places[free].Store(e)
}

// release empties a place, unless its token was asked for since the last time.
func (b *tokenBucket) release(i int, m *tokenMemory) bool {
	if bit := uint32(1) << i; b.used.And(^bit)&bit != 0 {
		return false
	}
	if e := b.places[i].Swap(nil); e != nil {
		m.entries++
		m.bytes += e.size()
	}
	return true
}

// size is about what the garbage collector counts for the entry and its place.
func (e *verifiedToken) size() int64 {
	const fixed, text, binding = 280, 16, 48
	n := fixed + len(e.payload) + text*(cap(e.Audience)+cap(e.Scopes)) + binding*cap(e.bindings)
	if strings.Contains(e.payload, `\`) {
		n += len(e.payload) // what had escapes is a copy
	}
	return int64(n)
}
