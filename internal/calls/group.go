package calls

import (
	"context"
	"sync"
	"time"
)

// Group is a bounded singleflight: one call for all who ask for the same, and so many at once. A part of the slots is
// kept for the keys that were good lately, so that a flood of made-up ones leaves room for them.
type Group[K comparable, V any] struct {
	timeout time.Duration // of a call
	wait    time.Duration // of a request, at most
	slots   chan struct{} // for everybody
	kept    chan struct{} // for what was good lately

	mu      sync.Mutex
	ongoing map[K]*awaited[V]
	shares  map[K]*share
}

// Question is what a request asks a Group for.
type Question[K comparable, V any] struct {
	Key K

	// Known returns what is known already. It is called with the Group locked.
	Known func() (V, bool)

	// Ask finds the answer out. It must make it known before it returns, or else Ended must.
	Ask func(context.Context) (V, error)

	// Ended is called with what the call came to, before anybody goes on or makes another. It may be nil.
	Ended func(V, error)

	// Lately tells that the answer was a good one not long ago.
	Lately bool

	// Shares bound how many slots the calls of one party take together, so that a party whose calls hang leaves room for
	// others. A call counts for each of them. Questions that have several name them in the same order.
	Shares []Share[K]
}

// Share is so many slots at Most for all calls Of one party, which is a key of its own kind.
type Share[K comparable] struct {
	Of   K
	Most int
}

// awaited is a call that is going on, or waits for a slot.
type awaited[V any] struct {
	*Call[V]
	left chan struct{} // closed if it isn't made: whoever wanted to make it has left
	made chan struct{} // closed when it begins
	why  error         // why a wait ends late that began before the call did
}

// NewGroup returns a Group of so many calls at once, a quarter of them for what was good lately.
func NewGroup[K comparable, V any](most int, timeout, wait time.Duration) *Group[K, V] {
	kept := most / 4
	if kept == 0 && most > 1 {
		kept = 1
	}
	return &Group[K, V]{
		timeout: timeout, wait: wait, ongoing: map[K]*awaited[V]{}, shares: map[K]*share{},
		slots: make(chan struct{}, most-kept), kept: make(chan struct{}, kept),
	}
}

// Do returns what is known, or what Ask finds out. It waits no longer than ctx and the Group's bound, for a slot and the
// answer together. One request at a time waits for the slot of a call; if it leaves, another takes its place.
func (g *Group[K, V]) Do(ctx context.Context, q Question[K, V]) (V, error) {
	patience := time.NewTimer(g.wait)
	defer patience.Stop()
	for {
		v, ok, a, first := g.join(q)
		if ok {
			return v, nil
		}
		if first {
			if v, ok, err := g.begin(ctx, q, a, patience.C); ok || err != nil {
				return v, err
			}
		}
		if v, again, err := a.result(ctx, patience.C, first); !again {
			return v, err
		}
	}
}

// Begin begins a call for which nobody waits, unless one for the same is going on or no slot is free.
func (g *Group[K, V]) Begin(q Question[K, V]) {
	if _, ok, a, first := g.join(q); !ok && first {
		_, _, _ = g.begin(nobody, q, a, nil)
	}
}

// nobody has left already, and takes no more than what is free.
var nobody = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// join returns what is known, or the call to wait for; first is for whoever has to make it.
func (g *Group[K, V]) join(q Question[K, V]) (v V, ok bool, a *awaited[V], first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, ok = q.Known(); ok { // under the lock: a call that has ended is remembered before it is taken out
		return v, true, nil, false
	}
	if a = g.ongoing[q.Key]; a != nil {
		return v, false, a, false
	}
	a = &awaited[V]{Call: newCall[V](), left: make(chan struct{}), made: make(chan struct{})}
	g.ongoing[q.Key] = a
	return v, false, a, true
}

// begin begins the call as soon as there is a place for it, unless the answer has become known meanwhile.
func (g *Group[K, V]) begin(ctx context.Context, q Question[K, V], a *awaited[V], late <-chan time.Time) (v V, known bool, err error) {
	leave, waited, err := g.enter(ctx, q, late)
	if err == nil {
		g.mu.Lock()
		v, known = q.Known()
		g.mu.Unlock()
	}
	if err != nil || known {
		if leave != nil {
			leave()
		}
		g.end(q.Key, a)
		close(a.left)
		return v, known, err
	}
	a.why = errSlow
	if waited {
		a.why = ErrBusy // the call has what is left of the time, however quick it is
	}
	close(a.made)
	go a.run(g.timeout, q.Ask, func(v V, err error) {
		if q.Ended != nil {
			q.Ended(v, err)
		}
		g.end(q.Key, a)
		leave()
	})
	return v, false, nil
}

func (g *Group[K, V]) end(key K, a *awaited[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ongoing[key] == a {
		delete(g.ongoing, key)
	}
}

// result waits for the call; again tells that it isn't made.
func (a *awaited[V]) result(ctx context.Context, late <-chan time.Time, first bool) (v V, again bool, err error) {
	select {
	case <-a.made:
		why := errSlow
		if first {
			why = a.why
		}
		v, err = a.wait(ctx, late, why)
		return v, false, err
	default:
	}
	select {
	case <-a.made:
		v, err = a.wait(ctx, late, a.why)
		return v, false, err
	case <-a.left:
		return v, true, nil
	case <-ctx.Done():
		return v, false, &Abandoned{Cause: context.Cause(ctx), Waiting: true}
	case <-late:
		return v, false, &Abandoned{Cause: ErrBusy, Waiting: true}
	}
}

// Forget lets nobody else join a call that is going on.
func (g *Group[K, V]) Forget(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.ongoing, key)
}
