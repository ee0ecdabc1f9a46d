package popauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// calls are calls to somewhere else, one for all who ask for the same, and a bounded number at once.
type calls[K comparable, V any] struct {
	timeout time.Duration // of a call
	wait    time.Duration // of a request, at most
	slots   chan struct{}

	mu      sync.Mutex
	ongoing map[K]*call[V]
}

// call is one call for all who wait.
type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

func newCalls[K comparable, V any](most int, timeout, wait time.Duration) *calls[K, V] {
	return &calls[K, V]{timeout: timeout, wait: wait, slots: make(chan struct{}, most), ongoing: map[K]*call[V]{}}
}

// do returns what is known, or what ask finds out; ask must make it known before it returns. An error wraps
// ErrUnavailable unless it has a Reason of its own.
func (c *calls[K, V]) do(ctx context.Context, key K, known func() (V, bool), ask func(context.Context) (V, error)) (V, error) {
	patience := time.NewTimer(c.wait)
	defer patience.Stop()
	var none V
	slot := false
	for {
		v, ok, ongoing := c.join(key, slot, known, ask)
		if ok {
			return v, nil
		}
		if ongoing != nil {
			select {
			case <-ongoing.done:
				return ongoing.value, ongoing.err
			case <-ctx.Done():
				return none, unanswered(context.Cause(ctx))
			case <-patience.C:
				return none, unanswered(errors.New("no answer in time"))
			}
		}
		select {
		case c.slots <- struct{}{}:
			slot = true
		case <-ctx.Done():
			return none, unanswered(context.Cause(ctx))
		case <-patience.C:
			return none, unanswered(errors.New("too many calls at once"))
		}
	}
}

// join returns what is known, or the call to wait for; neither if a slot is needed to make one. A slot that is not
// needed any more it gives back.
func (c *calls[K, V]) join(key K, slot bool, known func() (V, bool), ask func(context.Context) (V, error)) (V, bool, *call[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := known() // under the lock: a call that has ended is remembered before it is taken out
	ongoing := c.ongoing[key]
	if !ok && ongoing == nil && slot {
		ongoing, slot = &call[V]{done: make(chan struct{})}, false
		c.ongoing[key] = ongoing
		go c.run(key, ongoing, ask)
	}
	if slot {
		<-c.slots
	}
	return v, ok, ongoing
}

// run asks in a context of its own, so that no request's end spoils the answer for the others.
func (c *calls[K, V]) run(key K, own *call[V], ask func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	own.err = unanswered(errors.New("the call did not end"))
	defer func() {
		if p := recover(); p != nil { // it would end the process, not one request
			own.err = unanswered(fmt.Errorf("the call panicked: %v", p))
		}
		c.mu.Lock()
		if c.ongoing[key] == own {
			delete(c.ongoing, key)
		}
		c.mu.Unlock()
		<-c.slots
		close(own.done)
	}()
	value, err := ask(ctx)
	if err != nil {
		err = refused(err, ErrUnavailable)
	}
	own.value, own.err = value, err
}

// forget lets nobody else join a call that is going on.
func (c *calls[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ongoing, key)
}

func unanswered(err error) error { return &Error{Reason: ErrUnavailable, Err: err} }
