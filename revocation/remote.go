package revocation

import (
	linked "container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
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
	atOnce  int // fetches
	calls   *calls.Group[[sha256.Size]byte, T]

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*entry[T]
	order   linked.List // of the entries that nobody is asking for, those used last in front
	bytes   int
	marks   marks
}

type entry[T document] struct {
	key     [sha256.Size]byte
	place   *linked.Element // nil while somebody asks for it
	bytes   int             // that are counted for it
	asking  int             // requests that wait for a fetch, and the fetch
	value   T               // the zero value: there is none
	fetched time.Time       // when the fetch of value began
	reached time.Time       // when the fetch under way, or else the last one, began to ask, by the real clock; zero: not yet
	newest  time.Time       // when the newest statement was issued that ever came, also if it isn't kept
	err     error           // what the last fetch failed with
	next    time.Time       // not before this is it fetched again, if that failed
}

// A quarter of the fetches at once is for what was good lately; of the others one authority, and one host, has a part.
// Whoever names ever other addresses that don't answer leaves room for others' that do.
const (
	authorityShare = 4 // the fetches for one authority are this part at most
	hostShare      = 2 // those from one host are for several authorities, perhaps
)

func newRemote[T document](o Options, most, atOnce int) *remote[T] {
	return &remote[T]{
		options: o, most: most, atOnce: atOnce, entries: map[[sha256.Size]byte]*entry[T]{},
		calls: calls.NewGroup[[sha256.Size]byte, T](atOnce, o.Timeout, 2*o.Timeout), // a request has a context that ends before
	}
}

// crowdedError tells that something had to be waited for that others have. The source itself has said nothing, nor failed.
type crowdedError struct {
	what  string
	cause error
}

func (e *crowdedError) Error() string {
	return e.what + ", which says nothing of the source: " + e.cause.Error()
}
func (e *crowdedError) Unwrap() error { return e.cause }

// origin is on whose behalf something is fetched, and from where.
type origin struct {
	subject
	address string
}

// get returns what is known, having waited for it if it is too old, for no longer than ctx allows. The fetch goes on
// without: others wait for it, and the next request will ask. With an error there may be a value all the same, which is
// the authority's but no acquittal: it is over, or of the future, or too old and its source was not asked.
func (m *remote[T]) get(ctx context.Context, key [sha256.Size]byte, of origin, fetch func(context.Context) (T, error)) (T, error) {
	m.mu.Lock()
	e := m.entry(key)
	now := m.options.Now()
	old, soon := e.age(now, m.options.MaxAge)
	wait := old && (!e.isCurrent(now) || !e.failing(now, m.options.Timeout))
	ask := wait && e.asking > 0
	if e.asking == 0 && soon && !e.paused(now) {
		ask, wait = true, old // somebody has to
		e.reached = time.Time{}
	}
	if ask {
		m.hold(e)
	} else {
		m.touch(e)
	}
	m.mu.Unlock()
	var ended error
	switch {
	case ask && wait:
		ended = m.wait(ctx, m.question(ctx, e, of, fetch))
	case ask:
		m.calls.Begin(m.question(ctx, e, of, fetch))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if ask {
		m.release(e)
	}
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

// wait returns why it ended before the fetch did. What the fetch came to is in the entry.
func (m *remote[T]) wait(ctx context.Context, q calls.Question[[sha256.Size]byte, T]) error {
	_, err := m.calls.Do(ctx, q)
	gone, ok := errors.AsType[*calls.Abandoned](err)
	switch {
	case !ok:
		return nil
	case gone.Waiting:
		return &crowdedError{fmt.Sprintf("no place among the %d fetches at once, of which one authority has %d, and one host %d",
			m.atOnce, m.atOnce/authorityShare, m.atOnce/hostShare), gone.Cause}
	}
	return gone.Cause
}

// question fetches in a context of its own, so that no request's end spoils it for the others.
func (m *remote[T]) question(
	ctx context.Context, e *entry[T], of origin, fetch func(context.Context) (T, error),
) calls.Question[[sha256.Size]byte, T] {
	values, began := context.WithoutCancel(ctx), m.options.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	var none T
	return calls.Question[[sha256.Size]byte, T]{
		Key: e.key, Lately: e.value != none, Shares: of.shares(m.atOnce),
		Known: func() (T, bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			now := m.options.Now()
			_, soon := e.age(now, m.options.MaxAge)
			return e.value, !soon || e.paused(now)
		},
		Ask: func(ctx context.Context) (T, error) {
			m.reach(e)
			end, _ := ctx.Deadline()
			ctx, cancel := context.WithDeadline(values, end)
			defer cancel()
			return fetch(ctx)
		},
		Ended: func(value T, err error) { m.landed(e, value, err, began) },
	}
}

func (of origin) authorityKey() [sha256.Size]byte {
	return digest("highest authority", of.top.RawSubject, of.top.RawSubjectPublicKeyInfo)
}

// shares: an authority is whoever the root has certified, with all that it has certified in turn, since it may make any
// number of others.
func (of origin) shares(atOnce int) []calls.Share[[sha256.Size]byte] {
	own := []calls.Share[[sha256.Size]byte]{{
		Of: of.authorityKey(), Most: atOnce / authorityShare,
	}}
	if u, err := url.Parse(of.address); err == nil {
		own = append(own, calls.Share[[sha256.Size]byte]{Of: digest("share of a host", []byte(u.Host)), Most: atOnce / hostShare})
	}
	return own
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
	e.err = err
	_, crowded := errors.AsType[*crowdedError](err)
	if late := errors.Is(err, context.DeadlineExceeded); crowded || late && time.Since(e.reached) < m.options.Timeout/leastShare {
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
	m.release(e)
}
