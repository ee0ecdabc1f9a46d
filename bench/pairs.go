package bench

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// Contender is one operation that is measured beside others.
type Contender struct {
	Name string
	Run  func()

	// Prepare makes what the next n runs use up; it is not measured. If nil, they use up nothing.
	Prepare func(n int)

	// Together does what n calls of Run would, at the same time, and waits for all of them. If nil, one follows the other.
	Together func(n int)
}

// Ratio is the distribution of how many times as long one operation takes as another in the same cycle.
type Ratio struct {
	Median, Low, High float64 // Low and High are the quartiles
}

// Sample is what was measured of one contender.
type Sample struct {
	Name        string
	Ratio       Ratio   // to the first contender
	Nanoseconds float64 // of one run in the fastest tenth of the cycles
	Allocations float64 // of one run
	Bytes       float64

	each []float64
}

const (
	batch      = 500 * time.Microsecond
	collection = 32 // cycles between two collections of garbage
)

// Pairs measures the contenders in batches of half a millisecond, each once in every cycle, in random order. The garbage
// collector runs between cycles only, so this is the time of the request alone.
func Pairs(contenders []Contender, cycles int) []Sample {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return measure(contenders, cycles, spent)
}

// PairsOfProcess is Pairs by the CPU time of all goroutines, for what has others work for it.
func PairsOfProcess(contenders []Contender, cycles int) []Sample {
	return measure(contenders, cycles, spentByAll)
}

func measure(contenders []Contender, cycles int, clock func() time.Duration) []Sample {
	samples := make([]Sample, len(contenders))
	counts := make([]int, len(contenders))
	for i, c := range contenders {
		if counts[i] = c.calibrate(clock); c.Together != nil {
			counts[i] = max(counts[i], Rotation) // or the wait of a few would be most of it
		}
		samples[i] = Sample{Name: c.Name, each: make([]float64, 0, cycles)}
		samples[i].Allocations, samples[i].Bytes = c.allocations()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for cycle := range cycles {
		if cycle%collection == 0 {
			runtime.GC()
		}
		for _, i := range rand.Perm(len(contenders)) { //nolint:gosec // protects nothing
			samples[i].each = append(samples[i].each, contenders[i].batch(counts[i], clock))
		}
	}
	for i := range samples {
		samples[i].Ratio = Paired(samples[i].each, samples[0].each)
		sorted := slices.Sorted(slices.Values(samples[i].each))
		samples[i].Nanoseconds = sorted[len(sorted)/10]
	}
	return samples
}

// Over is how many times as long s takes as another contender of the same measurement.
func (s Sample) Over(other Sample) Ratio { return Paired(s.each, other.each) }

// batch returns the time of one run of n, in nanoseconds.
func (c Contender) batch(n int, clock func() time.Duration) float64 {
	if c.Prepare != nil {
		c.Prepare(n)
	}
	start := clock()
	c.run(n)
	return float64(clock()-start) / float64(n)
}

func (c Contender) run(n int) {
	if c.Together != nil {
		c.Together(n)
		return
	}
	for range n {
		c.Run()
	}
}

// calibrate returns how many runs fit into a batch.
func (c Contender) calibrate(clock func() time.Duration) int {
	n := 1
	for {
		c.batch(n, clock) // what is first seen is seen here
		three := []float64{c.batch(n, clock), c.batch(n, clock), c.batch(n, clock)}
		slices.Sort(three) // the median, or one interruption would shorten every batch
		if took := three[1] * float64(n); took >= float64(batch)/4 || n >= 1<<16 {
			return max(1, int(float64(n)*float64(batch)/max(took, 1)))
		}
		n *= 4
	}
}

// allocations are those of one run, on average.
func (c Contender) allocations() (count, size float64) {
	const n = Rotation
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if c.Prepare != nil {
		c.Prepare(2 * n)
	}
	c.run(n) // every token, so that what can be remembered is
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.run(n)
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / n), float64((after.TotalAlloc - before.TotalAlloc) / n)
}

// Paired is how many times as much the first are as the second, each pair measured in the same cycle.
func Paired(a, b []float64) Ratio {
	quotients := make([]float64, len(a))
	for i := range a {
		quotients[i] = a[i] / b[i]
	}
	return Distribution(quotients)
}

// Distribution sorts the values and returns their median and quartiles.
func Distribution(values []float64) Ratio {
	slices.Sort(values)
	at := func(q float64) float64 { return values[int(q*float64(len(values)-1)+0.5)] }
	return Ratio{Median: at(0.5), Low: at(0.25), High: at(0.75)}
}
