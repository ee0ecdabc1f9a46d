package bench_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/bench"
)

// Every request of the table is refused as it says, again and again, and no handler runs.
func TestStrangersAreRefused(t *testing.T) {
	for _, h := range bench.NewFixture(t).Strangers(t) {
		t.Run(h.Name, func(t *testing.T) {
			for range 3 {
				if err := h.Once(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
