package popclient

import (
	"testing"
	"time"
	"unsafe"

	"golang.org/x/oauth2"
)

// A token has expired after a sleep of the machine, in which the monotonic clock stood still, and by that clock whatever the
// calendar says.
func TestTokenAfterSleep(t *testing.T) {
	asked := time.Now()
	held := newToken(&oauth2.Token{AccessToken: "t", Expiry: asked.Add(time.Hour)}, asked, false)
	// after is a time by the calendar, and another one by the monotonic reading, which is the second word of a Time.
	after := func(calendar, monotonic time.Duration) time.Time {
		at := asked.Add(calendar)
		*(*int64)(unsafe.Add(unsafe.Pointer(&at), 8)) += int64(monotonic - calendar) //nolint:gosec // no other way to make such a time
		if at.Sub(asked) != monotonic || at.Round(0).Sub(asked.Round(0)) != calendar {
			t.Skip("a Time is made in another way")
		}
		return at
	}
	for name, tt := range map[string]struct {
		now  time.Time
		want bool
	}{
		"awake":              {after(time.Minute, time.Minute), true},
		"expired":            {after(2*time.Hour, 2*time.Hour), false},
		"slept":              {after(2*time.Hour, 0), false},
		"calendar set back":  {after(-time.Hour, 2*time.Hour), false},
		"slept for a minute": {after(time.Minute, 0), true},
	} {
		if got := held.good(tt.now); got != tt.want {
			t.Errorf("%s: good: got %t, want %t", name, got, tt.want)
		}
	}
}
