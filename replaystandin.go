package popauth

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayMemoryOptions and NewReplayMemory stand in for the memory store until replay.go has it; delete this file then.
type ReplayMemoryOptions struct{ Now func() time.Time }

type standInStore struct {
	now  func() time.Time
	mu   sync.Mutex
	used map[string]time.Time
}

// NewReplayMemory returns a store with room for 100,000 ids.
func NewReplayMemory(o ReplayMemoryOptions) (ReplayStore, error) {
	return &standInStore{now: o.Now, used: map[string]time.Time{}}, nil
}

func (s *standInStore) Use(_ context.Context, id string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, ok := s.used[id]; ok && !s.now().After(end) {
		return false, nil
	}
	if len(s.used) >= 100_000 {
		return false, errors.New("full")
	}
	s.used[id] = until
	return true, nil
}
