//go:build unix

package soak

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A machine that stands still for two seconds sends what was due meanwhile when it goes on.
func TestScheduledLeavesNoneOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second-time.Millisecond)
		defer cancel()
		got := 0
		scheduled(ctx, 100, func(n int) {
			if n != got {
				t.Fatalf("got number %d, want %d", n, got)
			}
			if got++; n == 300 {
				time.Sleep(2 * time.Second)
			}
		})
		if got != 1000 {
			t.Errorf("in 10 s at 100 a second: got %d, want 1000", got)
		}
	})
}

// While b is gone nginx answers 502, at once and whenever it looks for it again, and nobody else does. A proof that would be
// refused as used before is not explained: nobody sends one a second time.
func TestWhatAKilledProcessExplains(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    refusal
		last time.Duration
		want bool
	}{
		{name: "502 at once", r: refusal{kind: proofJWT, status: 502, reason: "nginx"}, last: time.Second, want: true},
		{name: "502 when nginx looks again", r: refusal{kind: proofJWT, status: 502, reason: "nginx"}, last: 11 * time.Second, want: true},
		{name: "502 long after", r: refusal{kind: proofJWT, status: 502, reason: "nginx"}, last: 20 * time.Second},
		{name: "used before", r: refusal{kind: proofJWT, status: 401, reason: usedBefore, instance: "a"}, last: time.Second},
	} {
		got := false
		for _, e := range apiGone() {
			got = got || e.covers(tt.r, tt.last, tt.last-12*time.Second)
		}
		if got != tt.want {
			t.Errorf("%s: explained: got %t, want %t", tt.name, got, tt.want)
		}
	}
}
