package calls

import (
	"context"
	"time"
)

// share is a semaphore that is there as long as somebody has, or waits for, a part of it.
type share struct {
	taken chan struct{}
	users int
}

// enter waits for a place in each share of the question, and then for a slot. So who waits for a share holds no slot.
func (g *Group[K, V]) enter(ctx context.Context, q Question[K, V], late <-chan time.Time) (leave func(), waited bool, err error) {
	held := make([]func(), 0, len(q.Shares)+1)
	leave = func() {
		for _, release := range held {
			release()
		}
	}
	for _, s := range q.Shares {
		own := g.use(s)
		_, behind, err := acquire(ctx, late, own.taken, nil)
		if err != nil {
			g.unuse(s.Of, own)
			leave()
			return nil, false, err
		}
		waited = waited || behind
		held = append(held, func() {
			<-own.taken
			g.unuse(s.Of, own)
		})
	}
	var kept chan struct{} // nil is never ready
	if q.Lately {
		kept = g.kept
	}
	slot, behind, err := acquire(ctx, late, g.slots, kept)
	if err != nil {
		leave()
		return nil, false, err
	}
	held = append(held, func() { <-slot })
	return leave, waited || behind, nil
}

// acquire prefers a free place to a context that has ended. It tells whether there was none at once.
func acquire(ctx context.Context, late <-chan time.Time, places, kept chan struct{}) (place chan struct{}, waited bool, err error) {
	select {
	case places <- struct{}{}:
		return places, false, nil
	default:
	}
	select {
	case kept <- struct{}{}:
		return kept, false, nil
	default:
	}
	select {
	case places <- struct{}{}:
		return places, true, nil
	case kept <- struct{}{}:
		return kept, true, nil
	case <-ctx.Done():
		return nil, true, &Abandoned{Cause: context.Cause(ctx), Waiting: true}
	case <-late:
		return nil, true, &Abandoned{Cause: ErrBusy, Waiting: true}
	}
}

func (g *Group[K, V]) use(s Share[K]) *share {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.shares[s.Of]
	if own == nil {
		own = &share{taken: make(chan struct{}, max(s.Most, 1))}
		g.shares[s.Of] = own
	}
	own.users++
	return own
}

func (g *Group[K, V]) unuse(of K, own *share) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(g.shares, of)
	}
}
