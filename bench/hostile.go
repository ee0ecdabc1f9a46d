package bench

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// Hostile is a request of somebody who wants it to cost the API as much as it can.
type Hostile struct {
	Name      string
	Different int    // how many different ones are sent to see what they leave behind
	Status    int    // of the answer
	Passes    bool   // it is a good one: what many of them leave behind counts, and the handler runs
	Genuine   bool   // it takes a genuine token
	Why       string // why it costs what it does, where that is above the goal; "" elsewhere

	protect func(http.Handler) http.Handler
	request func(n int) *http.Request // the nth, like no other
	waits   bool                      // for a call that doesn't end: its sender hangs up

	spy  *popauthtest.Spy
	next int
}

// patience is how long the sender of a request that waits stays.
const patience = 20 * time.Millisecond

// Strangers are all rows of the table, in its order, each with an API of its own that has the default options.
func (f *Fixture) Strangers(tb popauthtest.TB) []*Hostile {
	s := newStranger(tb, f)
	rows := slices.Concat(s.tokens(), s.askers(), s.lines(), s.certificates(), s.chains(), s.proofs())
	for _, h := range rows {
		h.spy = &popauthtest.Spy{Next: handler}
		h.protect = around(h.protect, h.spy)
		if h.Different == 0 {
			h.Different = different
		}
	}
	return rows
}

const (
	// different is how many different requests are sent for the memory's sake: more than any memory has places.
	different = 12_000

	// many are sent where one is cheap, and quickly is how many are where time is short.
	many    = 100_000
	quickly = 100
)

// around makes the API once: what it remembers it has in common for all requests.
func around(protect func(http.Handler) http.Handler, spy http.Handler) func(http.Handler) http.Handler {
	api := protect(spy)
	return func(http.Handler) http.Handler { return api }
}

// another is a request that was never sent.
func (h *Hostile) another() *http.Request {
	h.next++
	return h.request(h.next)
}

// Once sends one more. The error says what is wrong with the answer, such as that the handler has run.
func (h *Hostile) Once() error { return h.send(h.another()) }

func (h *Hostile) send(r *http.Request) error {
	if h.waits {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		r = r.WithContext(ctx)
	}
	w := &writer{header: http.Header{}}
	before := h.spy.Ran()
	h.protect(nil).ServeHTTP(w, r)
	ran := h.spy.Ran() - before
	switch {
	case h.Passes && (ran != 1 || w.status != reached), !h.Passes && (ran != 0 || w.status != h.Status):
		return fmt.Errorf("%s: got status %d, and the handler ran %d times; want %d", h.Name, w.status, ran, h.Status)
	}
	return nil
}

func (h *Hostile) must(r *http.Request) {
	if err := h.send(r); err != nil {
		log.Panic(err)
	}
}

// contender sends a new request each time, made before.
func (h *Hostile) contender() Contender {
	var ready []*http.Request
	c := Contender{
		Name: h.Name,
		Prepare: func(n int) {
			clear(ready)
			ready = ready[:0]
			for range n {
				ready = append(ready, h.another())
			}
		},
		Run: func() {
			last := len(ready) - 1
			h.must(ready[last])
			ready = ready[:last]
		},
	}
	if h.waits {
		c.Together = func(n int) {
			h.crowd(ready[len(ready)-n:])
			ready = ready[:len(ready)-n]
		}
	}
	return c
}

// crowd sends all at once.
func (h *Hostile) crowd(all []*http.Request) {
	var crowd sync.WaitGroup
	for _, r := range all {
		crowd.Go(func() { h.must(r) })
	}
	crowd.Wait()
}

// left is how much more of the heap is in use after as many different requests as the row says.
func (h *Hostile) left() (int64, error) {
	if err := h.Once(); err != nil { // what an API has from the first request on is no stranger's doing
		return 0, err
	}
	before := inUse()
	if h.waits {
		for sent := 0; sent < h.Different; sent += waiting {
			all := make([]*http.Request, waiting)
			for i := range all {
				all[i] = h.another()
			}
			h.crowd(all)
		}
	} else {
		for range h.Different {
			if err := h.Once(); err != nil {
				return 0, err
			}
		}
	}
	return max(0, inUse()-before), nil
}

// waiting is how many requests wait at a time.
const waiting = 1000

func inUse() int64 {
	var m runtime.MemStats
	for range 3 { // what is in a sync.Pool, or has a finalizer, outlives one
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // G115: less than 1<<63
}

// Cost is what a hostile request came to.
type Cost struct {
	Hostile
	Ratio       Ratio // to one verification of a signature, RS256
	Allocations float64
	Heap        int64 // bytes that the different ones have left behind
}

// HostileRace measures the table: first what is left behind, by APIs that have seen nothing, and then the time, by the CPU
// time of the whole process, beside the verification of a token's signature.
// Rows whose names don't fit rows are left out.
func (f *Fixture) HostileRace(tb popauthtest.TB, cycles int, quick bool, rows *regexp.Regexp) ([]Cost, error) {
	raw, err := f.raw("RS256", f.Tokens("RS256", Rotation))
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(f.Strangers(tb), func(h *Hostile) bool { return !rows.MatchString(h.Name) })
	costs := make([]Cost, len(all))
	contenders := []Contender{{Name: rawName, Run: raw}}
	var wrong []error
	for i, h := range all {
		if quick {
			h.Different = min(h.Different, quickly)
		}
		left, err := h.left()
		wrong = append(wrong, err)
		costs[i] = Cost{Hostile: *h, Heap: left}
		contenders = append(contenders, h.contender())
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	for i, s := range PairsOfProcess(contenders, cycles)[1:] {
		costs[i].Ratio, costs[i].Allocations = s.Ratio, s.Allocations
	}
	return costs, nil
}
