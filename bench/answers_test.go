package bench_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/bench"
)

func TestSameAnswers(t *testing.T) {
	held, err := bench.NewFixture(t).Hold()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d sides at most, %d good requests, %d to refuse", held.Sides, held.Good, held.Refused)
}
