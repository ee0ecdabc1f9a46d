package popauthtest_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// mapStore is a dpop.ReplayStore by a clock of its own. It forgets nothing, so it is none for production.
type mapStore struct {
	mu   sync.Mutex
	used map[[2]string]time.Time
	now  func() time.Time
}

func (s *mapStore) Use(ctx context.Context, key, id string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err := ctx.Err(); err != nil || until.Before(now) {
		return false, err
	}
	if end, used := s.used[[2]string{key, id}]; used && !end.Before(now) {
		return false, nil
	}
	s.used[[2]string{key, id}] = until
	return true, nil
}

// A store of one's own, by a clock that doesn't have the test wait.
func ExampleReplayStoreOptions() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	clock := popauthtest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	popauthtest.TestReplayStore(t, func() dpop.ReplayStore {
		return &mapStore{used: map[[2]string]time.Time{}, now: clock.Now}
	}, popauthtest.ReplayStoreOptions{
		Now:     clock.Now,
		Advance: func(d time.Duration) { clock.Advance(d) },
	})
	fmt.Println("no proof passes twice, and no good one is refused")
	// Output: no proof passes twice, and no good one is refused
}
