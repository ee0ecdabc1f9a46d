// Package calls is a bounded singleflight for calls to other programs on behalf of requests. Each call has a context of
// its own, so that it survives the request that began it, and a panic in it ends the call, not the process.
package calls

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	errSlow = errors.New("no answer in time")
	errEnd  = errors.New("the call did not end")
)

// ErrBusy is why a wait ended that began behind other calls: so many have asked at once that not everybody's turn came in
// time. What is asked is well: those calls were answered.
var ErrBusy = errors.New("too many calls at once")

// Abandoned is the error of a wait that ended before its call, or before a call was made. It is nothing that the call
// has said.
type Abandoned struct {
	Cause   error
	Waiting bool // for a slot: the call had not begun
	behind  bool // other calls: there was no slot at once
}

func (e *Abandoned) Error() string { return e.Cause.Error() }
func (e *Abandoned) Unwrap() error { return e.Cause }

// Call is one call for all who wait for it.
type Call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Go begins a call. When it has ended, ended is called with what it came to, and after that everybody who waits goes on:
// what ended makes known is known to all of them. A panic of ask, or a Goexit, is an error of the call.
func Go[V any](timeout time.Duration, ask func(context.Context) (V, error), ended func(V, error)) *Call[V] {
	c := newCall[V]()
	go c.run(timeout, ask, ended)
	return c
}

func newCall[V any]() *Call[V] { return &Call[V]{done: make(chan struct{}), err: errEnd} }

func (c *Call[V]) run(timeout time.Duration, ask func(context.Context) (V, error), ended func(V, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	defer close(c.done)
	defer func() {
		if p := recover(); p != nil { // it would end the process, not one request
			c.err = fmt.Errorf("the call panicked: %v", p)
		}
		ended(c.value, c.err)
	}()
	c.value, c.err = ask(ctx)
}

// Wait returns what the call came to. It waits no longer than ctx, nor than bound if that is positive.
func (c *Call[V]) Wait(ctx context.Context, bound time.Duration) (V, error) {
	var late <-chan time.Time
	if bound > 0 {
		t := time.NewTimer(bound)
		defer t.Stop()
		late = t.C
	}
	return c.wait(ctx, late, false)
}

func (c *Call[V]) wait(ctx context.Context, late <-chan time.Time, behind bool) (V, error) {
	var none V
	select {
	case <-c.done: // before a context that ended at the same time
		return c.value, c.err
	default:
	}
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		return none, &Abandoned{Cause: context.Cause(ctx), behind: behind}
	case <-late:
		return none, &Abandoned{Cause: errSlow, behind: behind}
	}
}
