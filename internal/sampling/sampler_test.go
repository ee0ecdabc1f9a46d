package sampling_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/sampling"
)

// Of a flood the first lines are written, and the first of the next period says how many were not.
func TestSampler(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 3}
	for _, step := range []struct {
		kind  string
		after time.Duration
		write bool
		left  int
	}{
		{kind: "a", write: true},
		{kind: "a", after: time.Second, write: true},
		{kind: "a", after: 2 * time.Second, write: true},
		{kind: "a", after: 3 * time.Second},
		{kind: "b", after: 3 * time.Second, write: true}, // another kind has lines of its own
		{kind: "a", after: sampling.Period - 1},
		{kind: "a", after: sampling.Period, write: true, left: 2},
		{kind: "a", after: sampling.Period, write: true},
		{kind: "a", after: sampling.Period, write: true},
		{kind: "a", after: sampling.Period},
		{kind: "a", after: -time.Hour, write: true, left: 1}, // the clock was set back
	} {
		if write, left := s.Allow(step.kind, start.Add(step.after)); write != step.write || left != step.left {
			t.Errorf("%+v: got %v, %d", step, write, left)
		}
	}
}

// Of many that come at once, one that has read the clock before another may ask after it. It begins no new period.
func TestSamplerOfManyAtOnce(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 3}
	lines := 0
	for i := range 100 {
		for range 5 {
			if write, _ := s.Allow("a", start.Add(-time.Duration(i)*time.Millisecond)); write {
				lines++
			}
		}
	}
	if lines != 3 {
		t.Errorf("got %d lines, want 3", lines)
	}
}

// However many kinds there are, and in whatever order they come, the lines of a period are bounded, and so is the memory.
func TestSamplerOfManyKinds(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 1, MaxKinds: 10}
	lines, left := 0, 0
	ask := func(i int, at time.Time) {
		write, more := s.Allow(strconv.Itoa(i), at)
		if write {
			lines++
		}
		left += more
	}
	for range 50 {
		for i := range 11 {
			ask(i, start)
		}
	}
	if lines > 11 {
		t.Errorf("got %d lines of 11 kinds, want one each", lines)
	}
	lines = 0
	for i := range 11 {
		ask(100+i, start.Add(sampling.Period)) // others: those of the last period make room
	}
	if lines != 11 || left != 49 {
		t.Errorf("a period later: got %d lines and %d left out of the kinds that shared one, want 11 and 49", lines, left)
	}
}

// The zero Sampler and none leave nothing out.
func TestSamplerOfAll(t *testing.T) {
	for _, s := range []*sampling.Sampler{nil, {}, {PerPeriod: -1}} {
		for range 1000 {
			if write, left := s.Allow("a", time.Time{}); !write || left != 0 {
				t.Fatalf("%v: got %v, %d", s, write, left)
			}
		}
	}
}

func TestContext(t *testing.T) {
	s := new(sampling.Sampler)
	if got := sampling.Of(sampling.With(context.Background(), s)); got != s {
		t.Errorf("got %v, want %v", got, s)
	}
	if got := sampling.Of(context.Background()); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

// A million kinds, with clocks that step back and forth between periods, take the memory and the lines of MaxKinds, and what is left
// out makes no garbage.
func TestSamplerOfAMillionKinds(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 1, MaxKinds: 1000}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	const periods = 10
	lines := 0
	for i := range 1_000_000 {
		at := start.Add(time.Duration(i/(1_000_000/periods)) * sampling.Period)
		if i%2 == 1 {
			at = at.Add(-sampling.Period / 2) // one that has read another clock
		}
		if write, _ := s.Allow(strconv.Itoa(i), at); write {
			lines++
		}
	}
	if got := heap(); got > before+1<<20 {
		t.Errorf("got %d KB, want 1000 at most", (got-before)>>10)
	}
	if most := 2 * periods * 1001; lines > most {
		t.Errorf("got %d lines in %d periods, want %d at most", lines, periods, most)
	}
	end := start.Add(periods * sampling.Period)
	for range 1001 {
		s.Allow("x", end)
	}
	if got := testing.AllocsPerRun(1000, func() { s.Allow("x", end) }); got > 0 {
		t.Errorf("a kind that is known: got %v allocations, want none", got)
	}
	if got := testing.AllocsPerRun(1000, func() { s.Allow("another", end) }); got > 0 {
		t.Errorf("one beyond the bound: got %v allocations, want none", got)
	}
	runtime.KeepAlive(s)
}

// Many who ask at once get no more lines than one after another would.
func TestSamplerAtOnce(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 3, MaxKinds: 50}
	var lines atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 5000 {
				if write, _ := s.Allow(strconv.Itoa(i%100), start); write {
					lines.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got, want := lines.Load(), int64(3*51); got != want {
		t.Errorf("got %d lines, want %d: three of each kind, and of the rest", got, want)
	}
}
