package popauth

import (
	"context"
	"errors"
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

// due tells whether a fetch may begin. The caller holds mu.
func (k *RemoteKeys) due(now time.Time) bool { return k.pause.Over(now) }

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
		if !k.late(old, now) { // else who comes meanwhile waits, too
			k.tried.Store(&now)
		}
		full = full || k.url != nil || old == nil || k.failed != nil || backoff.Since(old.located, now)+old.lifetime > k.options.Refresh
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
			k.cooldown = backoff.Interval{From: now, Length: k.options.Cooldown}
		}
		return
	}
	if isEmptySet(err) {
		k.current.Store(nil) // an answer, by which the issuer has withdrawn them all
	}
	length := backoff.First
	if set := k.usable(k.current.Load(), now); set != nil {
		left := k.options.MaxAge - backoff.Since(set.at, now)
		length = max(length, min(length<<min(k.failures, 16), k.options.Cooldown, left))
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
func (k *RemoteKeys) demand(ctx context.Context) error {
	before := k.begun.Load()
	k.mu.Lock()
	for {
		f, now := k.flight, k.options.Now()
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

// land waits for the fetch to end and returns the keys, or an error that wraps ErrUnavailable.
func (k *RemoteKeys) land(ctx context.Context, f *flight) (*fetched, error) {
	set, err := f.call.Wait(ctx, 0)
	if err != nil {
		return nil, &Error{Reason: ErrUnavailable, Err: backoff.After(err, max(backoff.First, k.pauseLeft()))}
	}
	return set, nil
}

func (k *RemoteKeys) pauseLeft() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed == nil {
		return 0
	}
	return k.quiet.Left(k.options.Now())
}

var errSlowKeys = errors.New("no keys in time")

// patience bounds what a request waits.
func (k *RemoteKeys) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, k.options.Wait, errSlowKeys)
}

// outage is what a request is told while the last fetch failed; nil if it didn't. The caller holds mu.
func (k *RemoteKeys) outage(now time.Time) error {
	if k.failed == nil {
		return nil
	}
	return &Error{Reason: ErrUnavailable, Err: backoff.After(k.failed, k.pause.Left(now))}
}

// sought is what a request looks for: a key that is not among those that there are, or any other keys than those that did
// not verify its token.
type sought struct {
	id   keyID
	than *keySet // nil if it is a key
}

func (s sought) in(set *fetched) bool {
	if s.than != nil {
		return set.keySet != s.than
	}
	return set.has(s.id)
}

// lookFor fetches the keys for what is not among them, and returns them as new as they can be. The first unknown key is
// looked for at once. Cooldown runs between the fetches that tokens cause, and each unknown key has a back-off of its own. What
// began before the request, number before, is not the last word.
func (k *RemoteKeys) lookFor(ctx context.Context, s sought, before int64) (*fetched, error) {
	for {
		k.mu.Lock()
		now := k.options.Now()
		set, f := k.usable(k.current.Load(), now), k.flight
		if set == nil || s.in(set) {
			err := k.outage(now)
			k.mu.Unlock()
			return set, missing(set, err)
		}
		err := k.outage(now)
		absent := k.known(s, set, now)
		may := k.due(now) && k.cooldown.Over(now) && (!absent || err != nil)
		if f == nil && may && (k.landed <= before || err != nil) {
			f = k.start(true, true)
		}
		// Nobody has asked for longer than Cooldown: assume recovery.
		failing := err != nil && k.pause.Left(now) > -k.options.Cooldown
		answered := k.landed > before
		k.mu.Unlock()
		switch {
		case failing:
			return nil, err // at once: a made-up key must not hold a request while the issuer is failing
		case answered:
			k.miss(s, set.at)
			return set, nil
		case absent, f == nil:
			return set, nil
		}
		if _, err := k.land(ctx, f); err != nil {
			return nil, err
		}
	}
}

// known tells whether it is known already that the issuer has nothing else. The caller holds mu.
func (k *RemoteKeys) known(s sought, set *fetched, now time.Time) bool {
	if s.than != nil {
		age := backoff.Since(set.at, now)
		return age >= 0 && age < k.options.Cooldown
	}
	return k.absent.asked(s.id, now)
}

// miss remembers that the fetch at that time has not found the key. A wrong signature is no word on any key: whoever sends one
// under a key's name must not lock it out.
func (k *RemoteKeys) miss(s sought, at time.Time) {
	if s.than == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.absent.miss(s.id, at, k.options.Cooldown)
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
