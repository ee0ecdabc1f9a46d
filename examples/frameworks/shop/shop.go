// Package shop is the business logic of the APIs in the folders beside it: each framework's handlers call it for a caller.
package shop

import (
	"fmt"
	"maps"
	"sync"
)

// Shop answers handlers and counts what it was asked on whose behalf. The zero Shop is open.
type Shop struct {
	mu    sync.Mutex
	asked map[string]int
}

// Catalog is what every caller with a genuine token may read.
func (s *Shop) Catalog(caller string) string { return s.answer("catalog for %s", caller) }

// Orders are the orders of a caller.
func (s *Shop) Orders(caller string) string { return s.answer("orders of %s", caller) }

// Order is one of them.
func (s *Shop) Order(caller, id string) string { return s.answer("order %s of %s", id, caller) }

// Buy makes an order.
func (s *Shop) Buy(caller string) string { return s.answer("bought by %s", caller) }

// Read takes the reading of a device.
func (s *Shop) Read(device string) string { return s.answer("reading of %s", device) }

// Asked is how often the shop has given each answer.
func (s *Shop) Asked() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

func (s *Shop) answer(format string, a ...any) string {
	what := fmt.Sprintf(format, a...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[what]++
	return what
}
