package keys

import (
	"context"
	"errors"
	"time"

	"github.com/seed-171ab058/popauth/internal/backoff"
)

// sought is what a request looks for: a key that is not among those that there are, or any other keys than those that did
// not verify its token.
type sought struct {
	id   ID
	than *Set // nil if it is a key
}

func (s sought) in(set *fetched) bool {
	if s.than != nil {
		return set.Set != s.than
	}
	return set.Has(s.id)
}

// lookFor fetches the keys for what is not among them, and returns them as new as they can be. The first unknown key is
// looked for at once. Cooldown runs between the fetches that tokens cause, and each unknown key has a back-off of its own. What
// began before the request, number before, is not the last word.
func (k *schedule) lookFor(ctx context.Context, s sought, before int64) (*fetched, error) {
	for {
		k.mu.Lock()
		now := k.origin.now()
		set, f := k.usable(k.current.Load(), now), k.flight
		if set == nil || s.in(set) {
			err := k.outage(now)
			k.mu.Unlock()
			return set, missing(set, err)
		}
		err := k.outage(now)
		absent := k.known(s, set, now)
		may := k.due(now) && k.unknown.Over(now) && (!absent || err != nil)
		if f == nil && may && (k.landed <= before || err != nil) {
			f = k.start(true, true)
		}
		// Nobody has asked for longer than Cooldown: assume recovery.
		failing := err != nil && k.pause.Left(now) > -k.cooldown
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
func (k *schedule) known(s sought, set *fetched, now time.Time) bool {
	if s.than != nil {
		age := backoff.Since(set.at, now)
		return age >= 0 && age < k.cooldown
	}
	return k.absent.asked(s.id, now)
}

// miss remembers that the fetch at that time has not found the key. A wrong signature is no word on any key: whoever sends one
// under a key's name must not lock it out.
func (k *schedule) miss(s sought, at time.Time) {
	if s.than == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.absent.miss(s.id, at, k.cooldown)
	}
}

func missing(set *fetched, err error) error {
	if set != nil {
		return nil
	}
	if err == nil {
		err = errors.New("no keys that are new enough")
	}
	return err
}
