package bench

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// Speedup is how much more work two goroutines do than one.
type Speedup struct {
	Name  string
	Ratio Ratio // requests in the same time, two to one
	OfRaw Ratio // that, to the same of the signature alone
}

// SpeedupRace measures what requests on two processors have to share. Times are wall time: it needs a machine that does
// nothing else. It is nil where there is one processor.
func (f *Fixture) SpeedupRace(ctx context.Context, algorithm string, cycles int) ([]Speedup, error) {
	if runtime.NumCPU() < 2 {
		return nil, nil
	}
	tokens := f.Tokens(algorithm, Rotation, f.owner.Bound())
	_, key, err := f.API(algorithm).Key()
	if err != nil {
		return nil, err
	}
	verify, err := Verify(key, tokens...)
	if err != nil {
		return nil, err
	}
	call := func(f func()) { f() }
	pairs := []pair{{rawName, [2]func(){rotate(verify, call), rotate(verify[Rotation/2:], call)}, 0}}
	requests := f.Requests(tokens)
	for _, s := range ChainSides() {
		h, err := s.protect(ctx, f.API(algorithm))
		if err != nil {
			return nil, err
		}
		own := func() func() {
			var copies []*http.Request
			for _, r := range requests {
				copies = append(copies, r.Clone(ctx))
			}
			return rotate(copies, serve(h, reached))
		}
		pairs = append(pairs, pair{s.Name, [2]func(){own(), own()}, 0})
	}
	return speedups(pairs, cycles), nil
}

// pair is one operation, for each of two goroutines.
type pair struct {
	name string
	run  [2]func()
	n    int // runs in a batch
}

func speedups(pairs []pair, cycles int) []Speedup {
	lanes := [2]lane{newLane(0), newLane(1)}
	defer close(lanes[0].work)
	defer close(lanes[1].work)
	for i := range pairs {
		pairs[i].n = Rotation
		pairs[i].together(lanes) // what is remembered is so from here on
		pairs[i].n = 16 * Contender{Run: pairs[i].run[0]}.calibrate(spent)
		pairs[i].together(lanes)
	}
	each := make([][]float64, len(pairs))
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // as often as beside the heap of a real program, which is larger
	for range cycles {
		for _, i := range rand.Perm(len(pairs)) { //nolint:gosec // protects nothing
			var one, two float64
			if which := rand.IntN(4); which < 2 { //nolint:gosec // as above
				one, two = pairs[i].alone(lanes, which), pairs[i].together(lanes)
			} else {
				two, one = pairs[i].together(lanes), pairs[i].alone(lanes, which-2)
			}
			each[i] = append(each[i], 2*one/two)
		}
	}
	all := make([]Speedup, len(pairs))
	for i, p := range pairs {
		all[i] = Speedup{Name: p.name, OfRaw: Paired(each[i], each[0])}
	}
	for i := range pairs {
		all[i].Ratio = Distribution(each[i])
	}
	return all
}

// lane is a thread on a processor of its own. Left alone, a kernel with other work may keep two threads of one process on
// the same processor.
type lane struct {
	work chan func()
	done chan struct{}
}

func newLane(n int) lane {
	l, stay := lane{make(chan func()), make(chan struct{}, 1)}, pin(n)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		stay()
		for f := range l.work {
			f()
			l.done <- struct{}{}
		}
	}()
	return l
}

// alone is the time of a batch on one lane, together that of two batches on two.
func (p pair) alone(lanes [2]lane, which int) float64 {
	start := time.Now()
	lanes[which].work <- p.batch(which)
	<-lanes[which].done
	return float64(time.Since(start))
}

func (p pair) together(lanes [2]lane) float64 {
	start := time.Now()
	for i, l := range lanes {
		l.work <- p.batch(i)
	}
	for _, l := range lanes {
		<-l.done
	}
	return float64(time.Since(start))
}

func (p pair) batch(which int) func() {
	return func() {
		for range p.n {
			p.run[which]()
		}
	}
}
