package popauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// ReplayStore remembers which proofs have been used, so that none is accepted twice (RFC 9449, section 11.1). Its
// methods are called concurrently. popauthtest.TestReplayStore tells whether an implementation does what is said here.
type ReplayStore interface {
	// Use marks an id as used. It returns true exactly once for an id until its time has passed: of any number of
	// calls at once, in any number of processes that share the store, one. It returns false for an id that is used,
	// and for one whose time is over already, since that can't be remembered.
	//
	// The id is used up to and including until, which a later call for the same id doesn't change. It is opaque and
	// may be any string; what comes from a request should be hashed first.
	//
	// An error means that the store can't tell, because it is full or out of reach or ctx has ended: fresh is false
	// then, and the request is answered with 503.
	Use(ctx context.Context, id string, until time.Time) (fresh bool, err error)
}

// ReplayMemoryOptions configure a ReplayMemory.
type ReplayMemoryOptions struct {
	_ [0]func()

	// Entries is the number of ids that are remembered at most, at most 100 bytes each. If zero, 1048576, which is
	// enough for 10,000 proofs per second that are good for 100 s; at most 1<<30.
	Entries int

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

const (
	defaultReplayEntries = 1 << 20
	maxReplayEntries     = 1 << 30
	replayShards         = 128 // a power of two, at most 256

	// Each id that comes in takes at most this many out whose time is over. More than one, so that the expired don't
	// stay; few, so that no request pays for all those before it.
	replaySweep = 2
)

// ReplayMemory is a ReplayStore in the memory of one process. It has room for a fixed number of ids and refuses when
// that is used up: to forget one before its time would let its proof be used again. Make it with NewReplayMemory; the
// zero ReplayMemory refuses everything.
//
// Restarting the process forgets all ids, and two processes don't know of each other's.
type ReplayMemory struct {
	now     func() time.Time
	entries int64
	secret  [16]byte
	held    atomic.Int64
	shards  [replayShards]replayShard
}

var _ ReplayStore = (*ReplayMemory)(nil)

// replayKey stands for an id. Half a SHA-256 is enough: what a collision could do is refuse a proof, never accept
// one, and without the secret nobody can look for any, nor for ids that all fall into one shard.
type replayKey [sha256.Size / 2]byte

// replayShard is a part of the ids, on cache lines of its own. Neither map nor queue has a pointer per id, so the
// garbage collector has nothing to look at, and both grow piece by piece, so no request waits for a large copy.
type replayShard struct {
	mu        sync.Mutex
	until     map[replayKey]int64
	queue     replayQueue
	forgotten int64        // the latest time of the ids that were taken out
	oldest    atomic.Int64 // the time of the first in the queue
	_         [48]byte
}

// NewReplayMemory returns an empty store. The error says what is wrong with the options.
func NewReplayMemory(o ReplayMemoryOptions) (*ReplayMemory, error) {
	if o.Entries < 0 || o.Entries > maxReplayEntries {
		return nil, fmt.Errorf("popauth: ReplayMemoryOptions.Entries: %d is not between 0 and %d", o.Entries, maxReplayEntries)
	}
	m := &ReplayMemory{now: o.Now, entries: int64(o.Entries)}
	if m.now == nil {
		m.now = time.Now
	}
	if m.entries == 0 {
		m.entries = defaultReplayEntries
	}
	rand.Read(m.secret[:]) // never fails
	for i := range m.shards {
		s := &m.shards[i]
		s.until = map[replayKey]int64{}
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
	errReplayBack   = errors.New("clock was set back to a time whose ids are forgotten")
)

// Use marks an id as used. Its errors wrap ErrUnavailable: the store is full, ctx has ended, or the clock was set back
// so far that the store can't tell any more; that ends when the clock is again where it was, or with the first id
// whose time is later than all that were forgotten.
func (m *ReplayMemory) Use(ctx context.Context, id string, until time.Time) (fresh bool, err error) {
	if m == nil || m.now == nil {
		return false, &Error{Reason: ErrUnavailable, Err: errReplayUnmade}
	}
	if err := ctx.Err(); err != nil {
		return false, &Error{Reason: ErrUnavailable, Err: err}
	}
	now, end := nanoseconds(m.now()), nanoseconds(until)
	if end < now {
		return false, nil
	}
	key := m.key(id)
	shard := &m.shards[int(key[0])%replayShards]
	fresh, err = m.use(shard, key, now, end)
	for errors.Is(err, errReplayFull) && m.reclaim(now) {
		fresh, err = m.use(shard, key, now, end) // another call may have taken that place
	}
	if err != nil {
		return false, &Error{Reason: ErrUnavailable, Err: err}
	}
	return fresh, nil
}

// use marks the key as used in its shard.
func (m *ReplayMemory) use(s *replayShard, key replayKey, now, end int64) (fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range replaySweep {
		if !s.expire(now) {
			break
		}
		m.held.Add(-1)
	}
	switch old, ok := s.until[key]; {
	case ok && now <= old:
		return false, nil
	case end <= s.forgotten:
		return false, errReplayBack
	case !m.reserve():
		return false, errReplayFull
	}
	s.until[key] = end
	s.queue.push(replayEntry{key, end})
	s.oldest.Store(s.queue.first().until)
	return true, nil
}

// expire takes one id out whose time is over, if there is any.
func (s *replayShard) expire(now int64) bool {
	if s.queue.size == 0 || now <= s.queue.first().until {
		return false
	}
	e := s.queue.pop()
	// An id that was used again after its time is in the queue twice, and only its later time counts.
	if s.until[e.key] == e.until {
		delete(s.until, e.key)
		s.forgotten = max(s.forgotten, e.until)
	}
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

// reclaim takes an expired id out of any shard. Only a full store looks for one.
func (m *ReplayMemory) reclaim(now int64) bool {
	for i := range m.shards {
		s := &m.shards[i]
		if now <= s.oldest.Load() {
			continue
		}
		s.mu.Lock()
		ok := s.expire(now)
		s.mu.Unlock()
		if ok {
			m.held.Add(-1)
			return true
		}
	}
	return false
}

func (m *ReplayMemory) key(id string) replayKey {
	buf := make([]byte, 0, 128) // on the stack, unless the id is longer than any hash
	buf = append(buf, m.secret[:]...)
	buf = append(buf, id...)
	sum := sha256.Sum256(buf)
	return replayKey(sum[:len(replayKey{})])
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
