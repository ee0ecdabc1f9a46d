//go:build !race

// The race detector changes what memory is needed.

package popauth_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// A million ids need what the documentation says, and no more when they have expired and others have come.
func TestReplayMemorySize(t *testing.T) {
	if testing.Short() {
		t.Skip("two million ids")
	}
	const entries, limit = 1_000_000, 100
	m, clock := replayMemory(t, entries)
	before := heapInUse()
	for round := range 2 {
		until := clock.Now().Add(time.Minute)
		for i := range entries {
			if fresh, err := m.Use(context.Background(), strconv.Itoa(i), until.Add(time.Duration(i))); !fresh {
				t.Fatalf("Use: got %v, %v, want fresh", fresh, err)
			}
		}
		start := time.Now()
		size := (heapInUse() - before) / entries
		t.Logf("round %d: %.1f bytes per id, collected twice in %v", round, size, time.Since(start))
		if size > limit {
			t.Errorf("round %d: got %.1f bytes per id, want at most %d", round, size, limit)
		}
		wantRefused(t, m, "one too many", until)
		clock.Advance(time.Hour)
	}
	runtime.KeepAlive(m)
}

func heapInUse() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapInuse)
}
