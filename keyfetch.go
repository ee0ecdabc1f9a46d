package popauth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// firstPause is the time between two fetches while the issuer can't be reached. It grows up to Cooldown if old keys
// serve; without any, nothing matters more than the first moment at which there are some.
const firstPause = time.Second

// flight is one fetch for all who wait.
type flight struct {
	done chan struct{}
	set  *fetched
	err  error
}

// due tells whether a fetch may begin. A time to wait that is longer than any that was set means that the clock was
// set back. The caller holds mu.
func (k *RemoteKeys) due(now time.Time) bool {
	wait := k.next.Sub(now)
	return wait <= 0 || wait > max(k.options.Cooldown, firstPause)
}

// needed returns the fetch that brings keys when there are none; nil if the last one failed a moment ago. The caller
// holds mu.
func (k *RemoteKeys) needed(now time.Time) *flight {
	if k.flight == nil && k.failed != nil && !k.due(now) {
		return nil
	}
	return k.start()
}

// start returns the fetch in flight, and begins one if there is none. The caller holds mu.
func (k *RemoteKeys) start() *flight {
	if k.flight == nil {
		k.flight = &flight{done: make(chan struct{})}
		go k.fly(k.flight, k.current.Load(), k.failed != nil)
	}
	return k.flight
}

// fly fetches in a context of its own, so that no request's end spoils it for the others.
func (k *RemoteKeys) fly(f *flight, old *fetched, failed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), k.options.Timeout)
	defer cancel()
	f.err = errors.New("the fetch did not end")
	defer func() {
		if p := recover(); p != nil { // it would end the process, not one request
			f.err = fmt.Errorf("the fetch panicked: %v", p)
		}
		k.ended(f)
	}()
	f.set, f.err = k.fetch(ctx, old, failed)
}

func (k *RemoteKeys) ended(f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.options.Now()
	k.failed, k.flight = f.err, nil
	if f.err == nil {
		k.failures, k.next = 0, now.Add(k.options.Cooldown)
		k.current.Store(f.set)
	} else {
		pause := firstPause
		if set := k.usable(k.current.Load(), now); set != nil {
			left := k.options.MaxAge - since(set.at, now)
			pause = max(pause, min(pause<<min(k.failures, 16), k.options.Cooldown, left))
		}
		k.failures++
		k.next = now.Add(spread(pause))
	}
	close(f.done)
}

// spread takes up to a fifth off, so that instances that began together don't go on together.
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // protects nothing
}

// land waits for the fetch to end and returns the keys, or an error that wraps ErrUnavailable.
func (f *flight) land(ctx context.Context, bound time.Duration) (*fetched, error) {
	if err := f.wait(ctx, bound); err != nil {
		return nil, err
	}
	return f.set, nil
}

func (f *flight) wait(ctx context.Context, bound time.Duration) error {
	t := time.NewTimer(bound)
	defer t.Stop()
	var err error
	select {
	case <-f.done:
		if err = f.err; err == nil {
			return nil
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-t.C:
		err = errors.New("no keys in time")
	}
	return &Error{Reason: ErrUnavailable, Err: outage{err, firstPause}}
}

// outage is the failure of a fetch, with the time until the next.
type outage struct {
	error
	after time.Duration
}

func (o outage) Unwrap() error             { return o.error }
func (o outage) RetryAfter() time.Duration { return o.after }

// outage is what a request is told while the last fetch failed; nil if it didn't. The caller holds mu.
func (k *RemoteKeys) outage(now time.Time) error {
	if k.failed == nil {
		return nil
	}
	return &Error{Reason: ErrUnavailable, Err: outage{k.failed, k.next.Sub(now)}}
}

// maxAbsent bounds the memory of kids that do not exist.
const maxAbsent = 1024

// absence is a kid that a fetch has not found. The longer it has been absent, the longer nobody is asked about it: a
// key that is published a moment too late is found a moment later, and one that never will be costs next to nothing.
type absence struct {
	at   time.Time // of the fetch
	wait time.Duration
}

func (a absence) asked(now time.Time) bool {
	age := now.Sub(a.at)
	return a.wait > 0 && age < a.wait && age > -maxLeeway
}

// miss remembers that the fetch at that time has not found the kid.
func (k *RemoteKeys) miss(kid string, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.absent[kid]
	if a.at.Equal(at) {
		return // another request waited for the same fetch
	}
	if !ok && len(k.absent) >= maxAbsent {
		clear(k.absent) // whoever forces this gains one fetch in Cooldown, as with any new kid
	}
	k.absent[kid] = absence{at, min(max(2*a.wait, k.options.Cooldown), k.options.Refresh)}
}
