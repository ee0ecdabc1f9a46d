package revocation

import (
	linked "container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// dated is what an authority says for some time.
type dated interface {
	issued() time.Time
	expires() time.Time
}

// document is a dated thing that may be absent, and knows what it takes of the memory.
type document interface {
	comparable
	dated
	size() int
}

// remote remembers what was fetched, and fetches it anew in time: once for all that wait, a bounded number at once.
type remote[T document] struct {
	options Options
	most    int // bytes
	slots   chan struct{}

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*entry[T]
	order   linked.List // of the entries, those used last in front
	bytes   int
	marks   marks
}

type entry[T document] struct {
	key     [sha256.Size]byte
	place   *linked.Element
	bytes   int
	flight  *calls.Call[T] // the fetch under way; nil: there is none
	value   T              // the zero value: there is none
	fetched time.Time      // when the fetch of value began
	reached time.Time      // when the fetch under way, or else the last one, began to ask, by the real clock; zero: not yet
	newest  time.Time      // when the newest statement was issued that ever came, also if it isn't kept
	err     error          // what the last fetch failed with
	next    time.Time      // not before this is it fetched again, if that failed
}

// entrySize is what an entry takes beside its value.
const entrySize = 512

func newRemote[T document](o Options, most, atOnce int) *remote[T] {
	return &remote[T]{options: o, most: most, slots: make(chan struct{}, atOnce), entries: map[[sha256.Size]byte]*entry[T]{}}
}

// get returns what is known, having waited for it if it is too old, for no longer than ctx allows. The fetch goes on
// without: others wait for it, and the next request will ask. With an error there may be a value all the same, which is
// the authority's but no acquittal: it is over, or of the future, or too old and its source was not asked.
func (m *remote[T]) get(ctx context.Context, key [sha256.Size]byte, fetch func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	e := m.entry(key)
	now := m.options.Now()
	old, soon := e.age(now, m.options.MaxAge)
	wait := old && (!e.isCurrent(now) || !e.failing(now, m.options.Timeout))
	if e.flight == nil && soon && !e.paused(now) {
		wait = old // somebody has to
		e.reached = time.Time{}
		e.flight = m.fly(ctx, e, now, func(ctx context.Context) (T, error) {
			m.reach(e)
			return fetch(ctx)
		})
	}
	flight := e.flight
	m.mu.Unlock()
	var ended error
	if wait && flight != nil {
		_, err := flight.Wait(ctx, 0)
		if _, gone := errors.AsType[*calls.Abandoned](err); gone {
			ended = context.Cause(ctx)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var none T
	now = m.options.Now()
	switch old, _ = e.age(now, m.options.MaxAge); {
	case e.isCurrent(now) && (!old || e.mayBeOld(now, ended, m.options.Timeout)):
		return e.value, nil
	case ended != nil:
		return e.value, ended
	case e.err != nil:
		return e.value, e.err
	case e.value != none:
		return e.value, outOfDate("a statement", e.value)
	}
	return none, errors.New("nothing fetched")
}

// age tells whether the value is too old to go by, if a newer one can be had, and whether it will be soon.
func (e *entry[T]) age(now time.Time, most time.Duration) (old, soon bool) {
	var none T
	if e.value == none || !current(now, e.value) {
		return true, true
	}
	age, ok := since(e.fetched, now)
	return !ok || age >= most, !ok || age >= most-most/4
}

// paused: a time further ahead than any pause was set by a clock that was wrong.
func (e *entry[T]) paused(now time.Time) bool {
	left := e.next.Round(0).Sub(now.Round(0)) // by the calendar, which goes on while a machine sleeps
	return left > 0 && left <= maxPause
}

// since is how long ago something was, also where the machine slept meanwhile, during which the monotonic clock stands
// still. It isn't known where the clock was set back.
func since(at, now time.Time) (age time.Duration, ok bool) {
	calendar := now.Round(0).Sub(at.Round(0))
	return max(now.Sub(at), calendar), calendar >= 0
}

// fly begins a fetch in a context of its own, so that no request's end spoils it for the others. The caller holds mu, so
// that the fetch can't have landed before it is known. The time of a wait for a slot counts, too.
func (m *remote[T]) fly(ctx context.Context, e *entry[T], began time.Time, fetch func(context.Context) (T, error)) *calls.Call[T] {
	values := context.WithoutCancel(ctx)
	return calls.Go(m.options.Timeout, func(ctx context.Context) (T, error) {
		select {
		case m.slots <- struct{}{}:
			defer func() { <-m.slots }()
		case <-ctx.Done():
			var none T
			return none, fmt.Errorf("%d fetches at once: %w", cap(m.slots), ctx.Err())
		}
		end, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(values, end)
		defer cancel()
		return fetch(ctx)
	}, func(value T, err error) { m.landed(e, value, err, began) })
}

func (m *remote[T]) landed(e *entry[T], value T, err error, began time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.options.Now()
	if err == nil {
		older := value.issued().Before(e.mark(now))
		if !ahead(now, value) && !older {
			e.newest = value.issued()
		}
		switch {
		case older: // Whoever sits in between can play it back, from before a certificate was revoked.
			err = fmt.Errorf("%w, older than one that came before", outOfDate("a statement", value))
		case value.size()+entrySize > m.most:
			err = fmt.Errorf("%d bytes of %d that there are for it: raise Options.MaxMemory", value.size()+entrySize, m.most)
		default:
			e.value, e.fetched = value, began
			if !current(now, value) {
				err = outOfDate("a statement", value)
			}
		}
	}
	e.flight, e.err = nil, err
	if errors.Is(err, context.DeadlineExceeded) && time.Since(e.reached) < m.options.Timeout/leastShare {
		e.reached = time.Time{} // the time went by before
	}
	switch {
	case err == nil:
		e.next = time.Time{}
	case !e.reached.IsZero(): // otherwise the source has not failed: nobody has asked it
		after := pause
		if busy, ok := errors.AsType[*busyError](err); ok {
			after = max(after, busy.after)
		}
		e.next = now.Add(after)
	}
	m.weigh(e)
}

// entry returns that of key.
func (m *remote[T]) entry(key [sha256.Size]byte) *entry[T] {
	e, ok := m.entries[key]
	if ok {
		m.order.MoveToFront(e.place)
		return e
	}
	e = &entry[T]{key: key, newest: m.marks.take(key)}
	e.place = m.order.PushFront(e)
	m.entries[key] = e
	m.weigh(e)
	return e
}

// weigh counts what an entry takes, and makes room for it by the entries that were not used for longest. One with a
// fetch under way stays: somebody waits for it.
func (m *remote[T]) weigh(e *entry[T]) {
	if m.entries[e.key] != e {
		return
	}
	var none T
	m.bytes -= e.bytes
	e.bytes = entrySize
	if e.value != none {
		e.bytes += e.value.size()
	}
	m.bytes += e.bytes
	for at := m.order.Back(); at != nil && m.bytes > m.most; {
		victim, _ := at.Value.(*entry[T])
		at = at.Prev()
		if victim != e && victim.flight == nil {
			m.bytes -= victim.bytes
			m.order.Remove(victim.place)
			delete(m.entries, victim.key)
			m.marks.keep(victim.key, victim.newest, m.most/markShare)
		}
	}
}
