package dpop

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth"
)

// ReplayMemoryOptions configure a ReplayMemory.
type ReplayMemoryOptions struct {
	_ [0]func()

	// Entries is the number of ids that are remembered at most. An id takes at most 100 bytes, and a key that has any 50
	// more. If zero, 1048576; at most 1<<30.
	//
	// It takes one for each proof, for as long as Options.Remember: 1,000 proofs a second need 71,000 in a Confirmer's own
	// memory, where they are kept for 71 s, and 661,000 in one that is shared, where they are kept for 661 s unless
	// Remember says less. A full memory answers 503.
	Entries int

	// PerKey is the number of ids of one DPoP key that are remembered at most, so that one caller can't fill what all
	// share: whoever has as many is refused with ErrProofLimit, and nobody else. If zero, an eighth of Entries; at most
	// Entries, which means no bound of its own.
	//
	// An eighth of 1048576 is 131072, enough for a key with 1,600 proofs a second that are kept for 71 s, or 195 that
	// are kept for 661 s. A busy client with one key, 1,000 proofs a second, needs 661,000 in a shared memory: set PerKey
	// and Entries, or Options.Remember, to fit. With dpop.Options.NonceTime a client whose clock is ahead has its ids kept for that much
	// longer: an hour ahead 3,931 s instead of 331, and 4,261 s in a shared memory, so that 131072 are enough for 33 and 30
	// proofs a second. Callers with several keys have as many bounds: how many keys
	// somebody can have tokens for is up to the authorization server.
	PerKey int

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultReplayEntries = 1 << 20
	maxReplayEntries     = 1 << 30
	defaultReplayShare   = 8   // of Entries, for one key
	replayShards         = 128 // a power of two

	// Each id that comes in takes at most this many out whose time is over. More than one, so that the expired don't
	// stay; few, so that no request pays for all those before it.
	replaySweep = 2

	// A key that has reached its bound takes so many expired ids out of a shard before it lets go of the lock.
	replayBatch = 16
)

// ReplayMemory is a ReplayStore in the memory of one process. It has room for a fixed number of ids, in all and of each
// key, and refuses when that is used up: to forget one before its time would let its proof be used again. Make it with
// NewReplayMemory; the zero ReplayMemory refuses everything.
//
// Restarting the process forgets all ids, and two processes don't know of each other's. A Guard that takes another's
// place in one process, when the configuration is read again, needs the memory of that one: see Options.Replay.
//
// Ids expire by the wall clock. When that is set back, proofs that may be among those it has forgotten are answered with 503
// until the clock is where it was or the process is restarted: an operator's event, which logs "clock was set back". DPoP
// says of each proof since when it may have been used. Behind a ReplayStore of your own, which doesn't hand that on, every
// proof that isn't held is answered so.
type ReplayMemory struct {
	now     func() time.Time
	entries int64
	perKey  uint32
	secret  [12]byte // with which a name of 43 characters is one block of SHA-256
	held    atomic.Int64
	shards  [replayShards]replayShard
	owners  [replayShards]replayOwners
}

var _ ReplayStore = (*ReplayMemory)(nil)

// replayKey stands for an id and whose it is. Both are halves of a keyed hash: without the secret nobody can look for two
// that are the same, nor for keys that all fall into one shard. What chance does is rare and harmless: two keys share
// a bound once in 2^25 memories with a million keys, and an id is taken for another one of its own key, and refused,
// once in 2^47 proofs of a key with 131072 ids. Never is one accepted twice.
type replayKey struct{ owner, id uint64 }

// replayShard is a part of the ids, on cache lines of its own. An id's shard is chosen by its hash: maps don't shrink, so
// one that a single owner could fill would stay as large as that. Neither map nor queue has a pointer per id, so the
// garbage collector has nothing to look at, and both grow piece by piece, so no request waits for a large copy.
type replayShard struct {
	mu        sync.Mutex
	until     map[replayKey]int64
	queue     replayQueue
	forgotten int64        // the latest time of the ids that were taken out
	oldest    atomic.Int64 // the time of the first in the queue
	_         [48]byte
}

// replayOwners is a part of the owners. Its lock may be taken inside of a replayShard's, never the other way round.
type replayOwners struct {
	mu   sync.Mutex
	held map[uint64]uint32 // how many ids in the queues are an owner's
	_    [48]byte
}

// take counts one id more of an owner, unless it has as many as it may.
func (o *replayOwners) take(owner uint64, most uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.held[owner]
	if n >= most {
		return false
	}
	o.held[owner] = n + 1
	return true
}

func (o *replayOwners) give(owner uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.held[owner]; n > 1 {
		o.held[owner] = n - 1
	} else {
		delete(o.held, owner)
	}
}

// NewReplayMemory returns an empty store. The error says what is wrong with the options.
func NewReplayMemory(o ReplayMemoryOptions) (*ReplayMemory, error) {
	if o.Entries < 0 || o.Entries > maxReplayEntries {
		return nil, fmt.Errorf("dpop: ReplayMemoryOptions.Entries: %d is not between 0 and %d", o.Entries, maxReplayEntries)
	}
	m := &ReplayMemory{now: o.Now, entries: int64(cmp.Or(o.Entries, defaultReplayEntries))}
	if o.PerKey < 0 || int64(o.PerKey) > m.entries {
		return nil, fmt.Errorf("dpop: ReplayMemoryOptions.PerKey: %d is not between 0 and Entries, %d", o.PerKey, m.entries)
	}
	m.perKey = uint32(cmp.Or(int64(o.PerKey), max(1, m.entries/defaultReplayShare))) //nolint:gosec // G115: at most entries
	if m.now == nil {
		m.now = time.Now
	}
	rand.Read(m.secret[:]) // never fails
	for i := range m.shards {
		s := &m.shards[i]
		s.until, m.owners[i].held = map[replayKey]int64{}, map[uint64]uint32{}
		s.forgotten = math.MinInt64
		s.oldest.Store(math.MaxInt64)
	}
	return m, nil
}

// Len is the number of ids that are held, among them some whose time is over. It is never more than
// ReplayMemoryOptions.Entries.
func (m *ReplayMemory) Len() int { return int(m.held.Load()) }

var (
	errReplayUnmade = errors.New("replay memory was not made by NewReplayMemory")
	errReplayFull   = errors.New("replay memory is full")
	errReplayLimit  = errors.New("replay memory has as many ids of this key as PerKey allows")
	errReplayBack   = errors.New("clock was set back to a time whose ids are forgotten")
)

// Use marks an id of a key as used. Its errors wrap ErrProofLimit where the key has PerKey ids, ErrRequestEnded where
// ctx was canceled, and else ErrUnavailable: the store is full, a time limit of ctx has run out, or the clock was set
// back, to before the end of an id that was evicted. It recovers once the clock has caught up, or with a restart, which
// forgets the rest too.
func (m *ReplayMemory) Use(ctx context.Context, key, id string, until time.Time) (fresh bool, err error) {
	if !m.made() {
		return false, &popauth.Error{Reason: popauth.ErrUnavailable, Err: errReplayUnmade}
	}
	now := m.now()
	return m.useOnce(ctx, now, key, id, until, now)
}

func (m *ReplayMemory) made() bool { return m != nil && m.now != nil }

// useOnce is Use at a time, told the earliest time that an earlier use of the id can have been kept until. Only if nothing that
// was kept until then or later is forgotten, an id that isn't held was never used.
func (m *ReplayMemory) useOnce(ctx context.Context, at time.Time, key, id string, until, earliest time.Time) (fresh bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, popauth.Unavailable(ctx, err)
	}
	now, end := nanoseconds(at), nanoseconds(until)
	if end < now {
		return false, nil
	}
	k := replayKey{m.hash(key), m.hash(id)}
	for {
		fresh, err = m.use(k, now, end, nanoseconds(earliest))
		switch {
		case err == nil:
			return fresh, nil
		// Another call may take the place that is found, hence the loop.
		case errors.Is(err, errReplayLimit) && m.reclaim(now, replayBatch), errors.Is(err, errReplayFull) && m.reclaim(now, 1):
		case errors.Is(err, errReplayLimit):
			return false, &popauth.Error{Reason: popauth.ErrProofLimit, Err: err}
		default:
			return false, &popauth.Error{Reason: popauth.ErrUnavailable, Err: err}
		}
	}
}

// use marks the key as used in its shard.
func (m *ReplayMemory) use(key replayKey, now, end, earliest int64) (fresh bool, err error) {
	s := &m.shards[key.id%replayShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	for range replaySweep {
		if !m.expire(s, now) {
			break
		}
	}
	owners := m.ownersOf(key)
	switch old, ok := s.until[key]; {
	case ok && now <= old:
		return false, nil
	case earliest <= s.forgotten:
		return false, errReplayBack
	case !owners.take(key.owner, m.perKey):
		return false, errReplayLimit
	case !m.reserve():
		owners.give(key.owner)
		return false, errReplayFull
	}
	s.until[key] = end
	s.queue.push(replayEntry{key, end})
	s.oldest.Store(s.queue.first().until)
	return true, nil
}

func (m *ReplayMemory) ownersOf(key replayKey) *replayOwners {
	return &m.owners[key.owner%replayShards]
}

// expire takes one id out of a shard whose time is over, if there is any.
func (m *ReplayMemory) expire(s *replayShard, now int64) bool {
	if s.queue.size == 0 || now <= s.queue.first().until {
		return false
	}
	e := s.queue.pop()
	// An id that was used again after its time is in the queue twice, and only its later time counts.
	if s.until[e.key] == e.until {
		delete(s.until, e.key)
		s.forgotten = max(s.forgotten, e.until)
	}
	m.ownersOf(e.key).give(e.key.owner)
	m.held.Add(-1)
	if s.queue.size == 0 {
		s.oldest.Store(math.MaxInt64)
	} else {
		s.oldest.Store(s.queue.first().until)
	}
	return true
}

// reserve takes one of the free places. Counting up first and back when there is none would let another caller see
// none where there is one.
func (m *ReplayMemory) reserve() bool {
	for {
		held := m.held.Load()
		if held >= m.entries {
			return false
		}
		if m.held.CompareAndSwap(held, held+1) {
			return true
		}
	}
}

// reclaim takes so many expired ids out of each shard that has any, and tells whether there were some; with most 1 it is
// content with one of all. Only a full store, and a key with as many ids as it may have, look for some.
func (m *ReplayMemory) reclaim(now int64, most int) (found bool) {
	for i := range m.shards {
		s := &m.shards[i]
		if now <= s.oldest.Load() {
			continue
		}
		s.mu.Lock()
		for range most {
			if !m.expire(s, now) {
				break
			}
			found = true
		}
		s.mu.Unlock()
		if found && most == 1 {
			return true
		}
	}
	return found
}

// hash is keyed with the secret.
func (m *ReplayMemory) hash(name string) uint64 {
	buf := make([]byte, 0, 128) // on the stack, unless the name is longer than any hash
	buf = append(buf, m.secret[:]...)
	buf = append(buf, name...)
	sum := sha256.Sum256(buf)
	return binary.BigEndian.Uint64(sum[:])
}

// nanoseconds is t on a scale that ends in 1677 and 2262; what lies beyond is at its ends.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < math.MinInt64/int64(time.Second):
		return math.MinInt64
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}
