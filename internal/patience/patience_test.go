package patience_test

import (
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/patience"
)

func TestShare(t *testing.T) {
	for name, tt := range map[string]struct {
		place       *patience.Place
		least, most time.Duration
	}{
		"one way":            {nil, time.Minute, time.Minute},
		"the first of three": {&patience.Place{Began: time.Now(), Left: 3}, 19 * time.Second, 20 * time.Second},
		"the last":           {&patience.Place{Began: time.Now().Add(-40 * time.Second), Left: 1}, 19 * time.Second, 20 * time.Second},
		"too late":           {&patience.Place{Began: time.Now().Add(-time.Hour), Left: 2}, 0, 0},
		"none left":          {&patience.Place{Began: time.Now().Add(-time.Hour)}, 0, 0},
	} {
		ctx := t.Context()
		if tt.place != nil {
			ctx = patience.With(ctx, *tt.place)
		}
		if got := patience.Share(ctx, time.Minute); got < tt.least || got > tt.most {
			t.Errorf("%s: got %v, want %v to %v", name, got, tt.least, tt.most)
		}
	}
}
