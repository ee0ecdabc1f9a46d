package popauthtest_test

import (
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestClock(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	clock := popauthtest.NewClock(start)
	equal(t, "start", clock.Now(), start)
	equal(t, "Advance", clock.Advance(time.Hour), start.Add(time.Hour))
	equal(t, "later", clock.Now(), start.Add(time.Hour))
	clock.Advance(-2 * time.Hour)
	equal(t, "back", clock.Now(), start.Add(-time.Hour))
}

func TestClockZero(t *testing.T) {
	var clock popauthtest.Clock
	before := time.Now().Add(-time.Second)
	first := clock.Now()
	if first.Before(before) {
		t.Errorf("Now: got %v, want one after %v", first, before)
	}
	equal(t, "again", clock.Now(), first)
}

func TestClockConcurrently(t *testing.T) {
	start := time.Unix(0, 0)
	clock := popauthtest.NewClock(start)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			clock.Advance(time.Second)
			clock.Now()
		})
	}
	wg.Wait()
	equal(t, "Now", clock.Now(), start.Add(50*time.Second))
}
