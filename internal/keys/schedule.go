package keys

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// flight is one fetch for all who wait.
type flight struct {
	number int64
	full   bool // it asks the metadata where the keys are, if that is not configured
	lookup bool // an unknown key has caused it
	call   *calls.Call[*fetched]
}

// schedule decides when the keys are fetched, and has what the last fetches came to.
type schedule struct {
	origin   origin
	timeout  time.Duration
	cooldown time.Duration
	current  atomic.Pointer[fetched]
	begun    atomic.Int64              // fetches
	tried    atomic.Pointer[time.Time] // when a fetch last began in time, or ended; nil if none has
	watchers watchers

	failedSize atomic.Int64 // what failed needs, in bytes

	mu       sync.Mutex
	flight   *flight
	landed   int64            // the last fetch that has asked the metadata and brought keys
	pause    backoff.Interval // no fetch meanwhile
	quiet    backoff.Interval // the part of it that the issuer has asked for
	unknown  backoff.Interval // no fetch for unknown keys meanwhile
	failed   error            // of the last fetch
	failures int              // in a row
	absent   absences
}

// late tells whether nobody has asked the issuer when it was time. Where requests come all the time, the keys are fetched
// beside them. After a quiet night the keys may have been withdrawn since, so the first request waits.
func (k *schedule) late(set *fetched, now time.Time) bool {
	if set == nil || backoff.Since(set.at, now) < set.limit {
		return false
	}
	tried := k.tried.Load()
	return tried == nil || backoff.Since(*tried, now) >= minRefresh
}

// usable returns the keys unless they are too old.
func (k *schedule) usable(set *fetched, now time.Time) *fetched {
	if set == nil || backoff.Since(set.at, now) >= k.origin.maxAge {
		return nil
	}
	return set
}

// due tells whether a fetch may begin. The caller holds mu.
func (k *schedule) due(now time.Time) bool { return k.pause.Over(now) }

// needed returns the fetch that brings keys when there are none; nil if the last one failed a moment ago. The caller
// holds mu.
func (k *schedule) needed(now time.Time) *flight {
	if k.flight == nil && k.failed != nil && !k.due(now) {
		return nil
	}
	return k.start(false, false)
}

// start returns the fetch in flight, and begins one if there is none. The caller holds mu.
func (k *schedule) start(full, lookup bool) *flight {
	if k.flight == nil {
		old := k.current.Load()
		now := k.origin.now()
		if !k.late(old, now) { // else who comes meanwhile waits, too
			k.tried.Store(&now)
		}
		full = full || k.origin.url != nil || old == nil || k.failed != nil || backoff.Since(old.located, now)+
			old.lifetime > k.origin.refresh
		f := &flight{number: k.begun.Add(1), full: full, lookup: lookup}
		k.flight = f
		f.call = calls.Go(k.timeout, func(ctx context.Context) (*fetched, error) {
			return k.origin.fetch(ctx, old, full)
		}, func(set *fetched, err error) { k.ended(f, set, err) })
	}
	return k.flight
}

func (k *schedule) ended(f *flight, set *fetched, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.origin.now()
	if err == nil && set == nil {
		err = errors.New("no keys")
	}
	k.tried.Store(&now)
	k.failed, k.flight = memory.Cut(err), nil
	k.failedSize.Store(memory.ErrorSize(k.failed))
	defer k.watchers.tell()
	if err == nil {
		k.failures, k.pause, k.quiet = 0, backoff.Interval{}, backoff.Interval{}
		k.current.Store(set)
		if f.full {
			k.landed = f.number
		}
		if f.lookup {
			k.unknown = backoff.Interval{From: now, Length: k.cooldown}
		}
		return
	}
	if IsEmptySet(err) {
		k.current.Store(nil) // an answer, by which the issuer has withdrawn them all
	}
	length := backoff.First
	if set := k.usable(k.current.Load(), now); set != nil {
		left := k.origin.maxAge - backoff.Since(set.at, now)
		length = max(length, min(length<<min(k.failures, 16), k.cooldown, left))
	}
	k.failures++
	k.pause, k.quiet = backoff.Interval{From: now, Length: backoff.Jitter(length)}, backoff.Interval{}
	if wanted := discovery.Pause(err, now); wanted > 0 {
		k.quiet = backoff.Interval{From: now, Length: wanted}
		k.pause = backoff.Interval{From: now, Length: max(wanted, k.pause.Length)}
	}
}

// demand fetches the keys, however new they are. What began before the demand is no answer to it: it may have been read
// before the change that the caller knows of.
func (k *schedule) demand(ctx context.Context) error {
	before := k.begun.Load()
	k.mu.Lock()
	for {
		f, now := k.flight, k.origin.now()
		switch {
		case f == nil && !k.quiet.Over(now):
			err := k.outage(now)
			k.mu.Unlock()
			return err
		case f == nil:
			f = k.start(true, false)
		}
		k.mu.Unlock()
		_, err := k.land(ctx, f)
		if _, gone := errors.AsType[*calls.Abandoned](err); gone || f.number > before && f.full {
			return err
		}
		k.mu.Lock()
	}
}

// land waits for the fetch to end and returns the keys, or an error that says with RetryAfter when to ask again.
func (k *schedule) land(ctx context.Context, f *flight) (*fetched, error) {
	set, err := f.call.Wait(ctx, 0)
	if err != nil {
		return nil, backoff.After(err, max(backoff.First, k.pauseLeft()))
	}
	return set, nil
}

func (k *schedule) pauseLeft() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		return 0
	}
	return k.quiet.Left(k.origin.now())
}

// outage is what a request is told while the last fetch failed; nil if it didn't. The caller holds mu.
func (k *schedule) outage(now time.Time) error {
	if k.failed == nil {
		return nil
	}
	return backoff.After(k.failed, k.pause.Left(now))
}
