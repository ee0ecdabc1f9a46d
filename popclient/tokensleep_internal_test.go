package popclient

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/oauth2"
)

// A token has expired after a sleep of the machine, in which the monotonic clock stood still.
func TestTokenAfterSleep(t *testing.T) {
	asked := time.Now()
	held := newToken(&oauth2.Token{AccessToken: "t", Expiry: asked.Add(time.Hour)}, asked, false)
	awake, woken := asked.Add(time.Minute), asked.Add(2*time.Hour)
	// The monotonic reading, which did not advance, is the second word of a Time.
	*(*int64)(unsafe.Add(unsafe.Pointer(&woken), 8)) -= int64(2 * time.Hour) //nolint:gosec // no other way to make such a time
	if woken.Sub(asked) != 0 || woken.Round(0).Sub(asked.Round(0)) != 2*time.Hour {
		t.Skip("a Time is made in another way")
	}
	for name, tt := range map[string]struct {
		now  time.Time
		want bool
	}{
		"awake":                {awake, true},
		"expired":              {asked.Add(2 * time.Hour), false},
		"slept beyond its end": {woken, false},
	} {
		if got := held.good(tt.now); got != tt.want {
			t.Errorf("%s: good: got %t, want %t", name, got, tt.want)
		}
	}
}
