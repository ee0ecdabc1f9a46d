package popauth

import (
	"context"
	"errors"
	"time"

	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/discovery"
)

const (
	// firstPause is the time between two fetches while the issuer can't be reached. It grows up to Cooldown if old keys
	// serve; without any, nothing matters more than the first moment at which there are some.
	firstPause = time.Second

	// maxAbsence caps the back-off for a key that was not found. A longer one would protect nobody beyond what Cooldown
	// does, and would lock out a key whose name somebody has guessed before it was there.
	maxAbsence = time.Minute
)

// flight is one fetch for all who wait.
type flight struct {
	number int64
	full   bool // it asks the metadata where the keys are, if that is not configured
	lookup bool // an unknown key has caused it
	call   *calls.Call[*fetched]
}

// due tells whether a fetch may begin. The caller holds mu.
func (k *RemoteKeys) due(now time.Time) bool { return k.pause.over(now) }

// needed returns the fetch that brings keys when there are none; nil if the last one failed a moment ago. The caller
// holds mu.
func (k *RemoteKeys) needed(now time.Time) *flight {
	if k.flight == nil && k.failed != nil && !k.due(now) {
		return nil
	}
	return k.start(false, false)
}

// start returns the fetch in flight, and begins one if there is none. The caller holds mu.
func (k *RemoteKeys) start(full, lookup bool) *flight {
	if k.flight == nil {
		old := k.current.Load()
		now := k.options.Now()
		full = full || k.url != nil || old == nil || k.failed != nil || since(old.located, now)+old.lifetime > k.options.Refresh
		f := &flight{number: k.begun.Add(1), full: full, lookup: lookup}
		k.flight = f
		f.call = calls.Go(k.options.Timeout, func(ctx context.Context) (*fetched, error) {
			return k.fetch(ctx, old, full)
		}, func(set *fetched, err error) { k.ended(f, set, err) })
	}
	return k.flight
}

func (k *RemoteKeys) ended(f *flight, set *fetched, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.options.Now()
	if err == nil && set == nil {
		err = errors.New("no keys")
	}
	k.failed, k.flight = err, nil
	if err == nil {
		k.failures, k.pause, k.quiet = 0, pause{}, pause{}
		k.current.Store(set)
		if changed := k.changed.Load(); changed != nil {
			(*changed)()
		}
		if f.full {
			k.landed = f.number
		}
		if f.lookup {
			k.cooldown = pause{now, k.options.Cooldown}
		}
		return
	}
	length := firstPause
	if set := k.usable(k.current.Load(), now); set != nil {
		left := k.options.MaxAge - since(set.at, now)
		length = max(length, min(length<<min(k.failures, 16), k.options.Cooldown, left))
	}
	k.failures++
	k.pause, k.quiet = pause{now, spread(length)}, pause{}
	if wanted := discovery.Pause(err, now); wanted > 0 {
		k.quiet = pause{now, wanted}
		k.pause = pause{now, max(wanted, k.pause.length)}
	}
}

// demand fetches the keys, however new they are. What began before the demand is no answer to it: it may have been read
// before the change that the caller knows of.
func (k *RemoteKeys) demand(ctx context.Context) error {
	before := k.begun.Load()
	k.mu.Lock()
	for {
		f, now := k.flight, k.options.Now()
		switch {
		case f == nil && !k.quiet.over(now):
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

// land waits for the fetch to end and returns the keys, or an error that wraps ErrUnavailable.
func (k *RemoteKeys) land(ctx context.Context, f *flight) (*fetched, error) {
	set, err := f.call.Wait(ctx, 0)
	if err != nil {
		return nil, &Error{Reason: ErrUnavailable, Err: outage{err, max(firstPause, k.pauseLeft())}}
	}
	return set, nil
}

func (k *RemoteKeys) pauseLeft() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		return 0
	}
	return k.quiet.left(k.options.Now())
}

// patience bounds what a request waits.
func (k *RemoteKeys) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, k.options.Wait, errors.New("no keys in time"))
}

// outage is what a request is told while the last fetch failed; nil if it didn't. The caller holds mu.
func (k *RemoteKeys) outage(now time.Time) error {
	if k.failed == nil {
		return nil
	}
	return &Error{Reason: ErrUnavailable, Err: outage{k.failed, k.pause.left(now)}}
}

// maxAbsent bounds the memory of keys that do not exist.
const maxAbsent = 1024

// absence is a key that a fetch has not found. The longer it has been absent, the longer nobody is asked about it, up to
// maxAbsence.
type absence struct {
	at   time.Time // of the fetch
	wait time.Duration
}

func (a absence) asked(now time.Time) bool {
	age := now.Sub(a.at)
	return a.wait > 0 && age < a.wait && age > -maxLeeway
}

// miss remembers that the fetch at that time has not found the key.
func (k *RemoteKeys) miss(id keyID, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.absent[id]
	if a.at.Equal(at) {
		return // another request waited for the same fetch
	}
	if !ok && len(k.absent) >= maxAbsent {
		clear(k.absent) // flooding buys an attacker one fetch per Cooldown, as any unknown key does
	}
	k.absent[id] = absence{at, min(max(2*a.wait, k.options.Cooldown), max(maxAbsence, k.options.Cooldown))}
}

// lookFor fetches the keys for one that is not among them, and returns them as new as they can be. The first unknown key
// is looked for at once. Cooldown runs between the fetches that unknown keys cause, and each key has a back-off of its
// own. What began before the request, number before, is not the last word.
func (k *RemoteKeys) lookFor(ctx context.Context, id keyID, before int64) (*fetched, error) {
	for {
		k.mu.Lock()
		now := k.options.Now()
		set, f := k.usable(k.current.Load(), now), k.flight
		if set == nil || set.has(id) {
			err := k.outage(now)
			k.mu.Unlock()
			return set, missing(set, err)
		}
		err := k.outage(now)
		absent := k.absent[id].asked(now)
		may := k.due(now) && k.cooldown.over(now) && (!absent || err != nil)
		if f == nil && may && (k.landed <= before || err != nil) {
			f = k.start(true, true)
		}
		// Nobody has asked for longer than Cooldown: assume recovery.
		failing := err != nil && k.pause.left(now) > -k.options.Cooldown
		answered := k.landed > before
		k.mu.Unlock()
		switch {
		case failing:
			return nil, err // at once: a made-up key must not hold a request while the issuer is failing
		case answered:
			k.miss(id, set.at)
			return set, nil
		case absent, f == nil:
			return set, nil
		}
		if _, err := k.land(ctx, f); err != nil {
			return nil, err
		}
	}
}

func missing(set *fetched, err error) error {
	if set != nil {
		return nil
	}
	if err == nil {
		err = &Error{Reason: ErrUnavailable, Err: errors.New("no keys that are new enough")}
	}
	return err
}
