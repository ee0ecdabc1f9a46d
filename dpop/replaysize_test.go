//go:build !race

// The race detector changes what memory is needed.

package dpop_test

import (
	"context"
	"github.com/seed-171ab058/popauth/internal/lab"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// A million ids need what the documentation says, and no more when they have expired and others have come.
func TestReplayMemorySize(t *testing.T) {
	if testing.Short() {
		t.Skip("four million ids")
	}
	const entries = 1_000_000
	for _, tt := range []struct{ keys, limit int }{{8, 100}, {100_000, 100}, {entries, 150}} {
		m, clock := replayMemory(t, entries)
		before := lab.HeapInUse()
		for round := range 2 {
			until := clock.Now().Add(time.Minute)
			for i := range entries {
				fresh, err := m.Use(context.Background(), strconv.Itoa(i%tt.keys), strconv.Itoa(i), until.Add(time.Duration(i)))
				if !fresh {
					t.Fatalf("Use: got %v, %v, want fresh", fresh, err)
				}
			}
			start := time.Now()
			size := (lab.HeapInUse() - before) / entries
			t.Logf("%d keys, round %d: %.1f bytes per id, collected twice in %v", tt.keys, round, size, time.Since(start))
			if size > float64(tt.limit) {
				t.Errorf("%d keys, round %d: got %.1f bytes per id, want at most %d", tt.keys, round, size, tt.limit)
			}
			wantRefused(t, m, "one too many", until)
			clock.Advance(time.Hour)
		}
		runtime.KeepAlive(m)
	}
}
