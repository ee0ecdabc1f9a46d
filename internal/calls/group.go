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
	ongoing map[K]*Call[V]
}

// Question is what a request asks a Group for.
type Question[K comparable, V any] struct {
	Key K

	// Known returns what is known already. It is called with the Group locked.
	Known func() (V, bool)

	// Ask finds the answer out. It must make it known before it returns.
	Ask func(context.Context) (V, error)

	// Lately tells that the answer was a good one not long ago.
	Lately bool
}

// NewGroup returns a Group of so many calls at once, a quarter of them for what was good lately.
func NewGroup[K comparable, V any](most int, timeout, wait time.Duration) *Group[K, V] {
	kept := most / 4
	if kept == 0 && most > 1 {
		kept = 1
	}
	return &Group[K, V]{
		timeout: timeout, wait: wait, ongoing: map[K]*Call[V]{},
		slots: make(chan struct{}, most-kept), kept: make(chan struct{}, kept),
	}
}

// Do returns what is known, or what Ask finds out. It waits no longer than ctx and the Group's bound, for a slot and the
// answer together.
func (g *Group[K, V]) Do(ctx context.Context, q Question[K, V]) (V, error) {
	patience := time.NewTimer(g.wait)
	defer patience.Stop()
	var none V
	var slot chan struct{}
	why := errSlow
	for {
		v, ok, ongoing := g.join(q, slot)
		if ok {
			return v, nil
		}
		if ongoing != nil {
			return ongoing.wait(ctx, patience.C, why)
		}
		var kept chan struct{} // nil is never ready
		if q.Lately {
			kept = g.kept
		}
		select {
		case g.slots <- struct{}{}:
			slot = g.slots
			continue
		case kept <- struct{}{}:
			slot = kept
			continue
		default:
			why = ErrBusy // the call has what is left of the time, however quick it is
		}
		select {
		case g.slots <- struct{}{}:
			slot = g.slots
		case kept <- struct{}{}:
			slot = kept
		case <-ctx.Done():
			return none, &Abandoned{context.Cause(ctx)}
		case <-patience.C:
			return none, &Abandoned{ErrBusy}
		}
	}
}

// Begin begins a call for which nobody waits, unless one for the same is going on or no slot is free.
func (g *Group[K, V]) Begin(q Question[K, V]) {
	var kept chan struct{}
	if q.Lately {
		kept = g.kept
	}
	select {
	case g.slots <- struct{}{}:
		_, _, _ = g.join(q, g.slots)
	case kept <- struct{}{}:
		_, _, _ = g.join(q, kept)
	default:
	}
}

// join returns what is known, or the call to wait for; neither if a slot is needed to make one. A slot that is not
// needed any more it gives back.
func (g *Group[K, V]) join(q Question[K, V], slot chan struct{}) (V, bool, *Call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := q.Known() // under the lock: a call that has ended is remembered before it is taken out
	ongoing := g.ongoing[q.Key]
	if !ok && ongoing == nil && slot != nil {
		ongoing = g.start(q, slot)
		slot = nil
	}
	if slot != nil {
		<-slot
	}
	return v, ok, ongoing
}

// start begins a call in a slot. The caller holds mu.
func (g *Group[K, V]) start(q Question[K, V], slot chan struct{}) *Call[V] {
	var own *Call[V]
	own = Go(g.timeout, q.Ask, func(V, error) {
		g.mu.Lock()
		if g.ongoing[q.Key] == own {
			delete(g.ongoing, q.Key)
		}
		g.mu.Unlock()
		<-slot
	})
	g.ongoing[q.Key] = own
	return own
}

// Forget lets nobody else join a call that is going on.
func (g *Group[K, V]) Forget(key K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.ongoing, key)
}
