package load_test

import (
	"os"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/bench"
	"github.com/seed-171ab058/popauth/bench/load"
)

func TestMain(m *testing.M) {
	load.Child()
	os.Exit(m.Run())
}

// Every server answers every request of the load with its handler's answer; Measure holds them to that.
func TestMeasure(t *testing.T) {
	if raceDetector {
		t.Skip("nine processes; .ci/run does it without the race detector as well")
	}
	servers, err := load.Measure(t.Context(), bench.NewFixture(t), load.Options{
		Algorithms: []string{"ES256"}, Cycles: 1, Slice: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		t.Logf("%-30s %-6s %6.0f a second, %.2f of those without middleware, %.1f µs", s.Name, s.Algorithm, s.PerSecond.Median,
			s.OfNone.Median, s.CPU)
	}
	if len(servers) != 9 {
		t.Errorf("servers: got %d, want 9", len(servers))
	}
}
