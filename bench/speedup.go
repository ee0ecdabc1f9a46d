package bench

import (
	"context"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
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
	for i := range pairs {
		pairs[i].n = 4 * Contender{Run: pairs[i].run[0]}.calibrate()
		pairs[i].alone(1)
	}
	each := make([][]float64, len(pairs))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for cycle := range cycles {
		if cycle%collection == 0 {
			runtime.GC()
		}
		for _, i := range rand.Perm(len(pairs)) { //nolint:gosec // protects nothing
			var one, two float64
			if rand.IntN(2) == 0 { //nolint:gosec // as above
				one, two = pairs[i].alone(0), pairs[i].together()
			} else {
				two, one = pairs[i].together(), pairs[i].alone(0)
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

// alone is the time of a batch in one goroutine, together that of two batches in two.
func (p pair) alone(which int) float64 {
	start := time.Now()
	for range p.n {
		p.run[which]()
	}
	return float64(time.Since(start))
}

func (p pair) together() float64 {
	var both sync.WaitGroup
	start := time.Now()
	both.Go(func() { p.alone(1) })
	p.alone(0)
	both.Wait()
	return float64(time.Since(start))
}
