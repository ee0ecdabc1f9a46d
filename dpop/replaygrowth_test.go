//go:build !race

// The race detector needs memory of its own.

package dpop_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Whoever comes and goes, the memory stays as large as its ids: one owner after the other has as many as he may.
func TestReplayMemoryOfOwnersThatGo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const entries, rounds = 1 << 14, 100
	for _, perKey := range []int{entries / 8, entries} {
		clock := popauthtest.NewClock(time.Unix(1_800_000_000, 0))
		before := lab.HeapInUse()
		m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Entries: entries, PerKey: perKey, Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		for round := range rounds {
			until := clock.Now().Add(time.Minute)
			for n := range perKey {
				if fresh, err := m.Use(t.Context(), fmt.Sprint("key ", round), fmt.Sprint(n), until); !fresh {
					t.Fatalf("round %d, id %d: got %v, %v", round, n, fresh, err)
				}
			}
			clock.Advance(2 * time.Minute)
		}
		// Twice what the ids of one full memory take: nothing that owners leave behind.
		if got, most := lab.HeapInUse()-before, 2.0*150*entries; got > most {
			t.Errorf("PerKey %d: got %.0f bytes after %d owners, want %.0f at most", perKey, got, rounds, most)
		}
		runtime.KeepAlive(m)
	}
}
