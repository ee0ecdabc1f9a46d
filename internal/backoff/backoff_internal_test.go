package backoff

import (
	"testing"
	"time"
	"unsafe"
)

func TestSinceCountsSleep(t *testing.T) {
	at := time.Now()
	woken := at.Add(time.Hour)
	// The monotonic reading, which did not advance, is the second word of a Time.
	*(*int64)(unsafe.Add(unsafe.Pointer(&woken), 8)) -= int64(time.Hour) //nolint:gosec // no other way to make such a time
	if woken.Sub(at) != 0 || woken.Round(0).Sub(at.Round(0)) != time.Hour {
		t.Skip("a Time is made in another way")
	}
	if got := Since(at, woken); got != time.Hour {
		t.Errorf("after an hour asleep: got %v, want 1h", got)
	}
	if got := Since(woken, at.Add(time.Minute)); got != time.Minute {
		t.Errorf("set back by an hour: got %v, want 1m", got)
	}
}
