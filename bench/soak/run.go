//go:build unix

package soak

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Options say how long, how much, and what breaks.
type Options struct {
	For    time.Duration // if zero, ten minutes
	Every  time.Duration // from the beginning of a fault to that of the next; if zero, 30 s, or less in a short run
	Rate   int           // requests a second, of which a quarter are thieves'; if zero, 200
	Faults []string      // names of those to go through; if nil, all
	Log    io.Writer     // gets a line for each fault as it begins; if nil, none
}

// waiting bounds the requests under way.
const waiting = 600

// soak is a run.
type soak struct {
	o       Options
	w       *world
	owners  []*owner
	thieves *thieves
	record  *recorder
}

// Run starts everything, sends requests and breaks one part after the other.
func Run(ctx context.Context, o Options) (_ *Report, err error) {
	chosen, err := o.complete()
	if err != nil {
		return nil, err
	}
	w, err := newWorld()
	defer w.close()
	if err != nil {
		return nil, err
	}
	s := &soak{o: o, w: w, record: newRecorder()}
	used := &proofs{}
	if s.owners, err = w.newOwners(used); err != nil {
		return nil, err
	}
	s.thieves = newThieves(w, s.owners, used)
	r := &Report{Began: time.Now(), Options: o}

	load, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { s.load(load) })
	err = s.play(ctx, chosen, r)
	stop()
	done.Wait()
	if err != nil {
		return nil, err
	}
	r.Lasted = time.Since(r.Began)
	reached, err := w.reachedBy()
	if err != nil {
		return nil, err
	}
	s.compare(reached)
	r.recorder = s.record
	return r, ctx.Err()
}

// complete sets what is open, and returns the faults.
func (o *Options) complete() ([]fault, error) {
	chosen := faults()
	if o.Faults != nil {
		chosen = nil
		for _, name := range o.Faults {
			n := slices.IndexFunc(faults(), func(f fault) bool { return f.name == name })
			if n < 0 {
				return nil, fmt.Errorf("no fault called %q; there are %q", name, Faults())
			}
			chosen = append(chosen, faults()[n])
		}
	}
	if o.For == 0 {
		o.For = 10 * time.Minute
	}
	if o.Every == 0 {
		// Each at least once, between two quiet times.
		o.Every = min(30*time.Second, o.For/time.Duration(len(chosen)+2))
	}
	if o.Rate == 0 {
		o.Rate = 200
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.For < 3*o.Every || o.Every < time.Second || o.Rate < 1 {
		return nil, fmt.Errorf("for %v, every %v, %d a second: want three times Every at least, of a second at least", o.For, o.Every,
			o.Rate)
	}
	return chosen, nil
}

// play goes through the faults, with a quiet time before and after them.
func (s *soak) play(ctx context.Context, chosen []fault, r *Report) error {
	n := int(s.o.For / s.o.Every)
	begun := time.Now()
	for i := range n {
		f := quiet
		if i > 0 && i < n-1 {
			f = chosen[(i-1)%len(chosen)]
		}
		_, _ = fmt.Fprintf(s.o.Log, "%s %s\n", time.Now().Format(time.TimeOnly), f.name) // progress
		slot := s.record.begin(f)
		note, err := f.run(ctx, s, s.o.Every*2/5)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		s.record.end(slot, note)
		wait(ctx, time.Until(begun.Add(time.Duration(i+1)*s.o.Every)))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := s.w.look()
		if err != nil {
			return err
		}
		r.health = append(r.health, h)
	}
	return nil
}

// load sends requests at a steady rate, whatever becomes of them, until ctx ends; then it waits for the last answers.
func (s *soak) load(ctx context.Context) {
	places := make(chan struct{}, waiting)
	var all sync.WaitGroup
	defer all.Wait()
	scheduled(ctx, s.o.Rate, func(n int) {
		select {
		case places <- struct{}{}:
		default:
			s.record.tooMany()
			return
		}
		all.Go(func() {
			defer func() { <-places }()
			if n%4 == 3 {
				s.thieves.try(n/4, s.record)
				return
			}
			s.owners[(n-n/4)%len(s.owners)].ask(s.w.base(), s.record)
		})
	})
}

// scheduled calls f for each of so many a second, at the time when it is due. What is late is called at once: none is left out,
// as a Ticker would do, and a machine that is busy sends as many all the same.
func scheduled(ctx context.Context, rate int, f func(n int)) {
	begun := time.Now()
	for n := 0; ; n++ {
		wait(ctx, time.Until(begun.Add(time.Duration(n)*time.Second/time.Duration(rate))))
		if ctx.Err() != nil {
			return
		}
		f(n)
	}
}

// compare holds what handlers have seen to what thieves were told: one who was answered by nginx, or not at all, may have
// reached a handler all the same.
func (s *soak) compare(reached map[string]int) {
	for kind, n := range reached {
		t := s.record.thefts[kind]
		if t == nil || t.known {
			continue
		}
		if unseen := n - t.reached; unseen > 0 {
			t.reached = n
			for range unseen {
				s.record.report("a handler ran for a thief who was told otherwise: %s", kind)
			}
		}
	}
}
