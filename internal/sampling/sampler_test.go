package sampling_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/sampling"
)

// Of a flood the first lines are written, and the first of the next period says how many were not.
func TestSampler(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	s := &sampling.Sampler{PerPeriod: 3}
	for _, step := range []struct {
		kind  string
		after time.Duration
		write bool
		left  int
	}{
		{kind: "a", write: true},
		{kind: "a", after: time.Second, write: true},
		{kind: "a", after: 2 * time.Second, write: true},
		{kind: "a", after: 3 * time.Second},
		{kind: "b", after: 3 * time.Second, write: true}, // another kind has lines of its own
		{kind: "a", after: sampling.Period - 1},
		{kind: "a", after: sampling.Period, write: true, left: 2},
		{kind: "a", after: sampling.Period, write: true},
		{kind: "a", after: -time.Hour, write: true}, // the clock was set back
	} {
		if write, left := s.Allow(step.kind, start.Add(step.after)); write != step.write || left != step.left {
			t.Errorf("%+v: got %v, %d", step, write, left)
		}
	}
}

// The zero Sampler and none leave nothing out.
func TestSamplerOfAll(t *testing.T) {
	for _, s := range []*sampling.Sampler{nil, {}, {PerPeriod: -1}} {
		for range 1000 {
			if write, left := s.Allow("a", time.Time{}); !write || left != 0 {
				t.Fatalf("%v: got %v, %d", s, write, left)
			}
		}
	}
}

func TestContext(t *testing.T) {
	s := new(sampling.Sampler)
	if got := sampling.Of(sampling.With(context.Background(), s)); got != s {
		t.Errorf("got %v, want %v", got, s)
	}
	if got := sampling.Of(context.Background()); got != nil {
		t.Errorf("got %v, want none", got)
	}
}
