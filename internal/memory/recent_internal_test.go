package memory

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// What is remembered counts no longer after a sleep, which the monotonic clock leaves out, nor after the clock was set
// back to before it.
func TestRecentCountsSleep(t *testing.T) {
	m, key := NewRecent[string](10, 1<<20), sha256.Sum256([]byte("k"))
	at := time.Now()
	m.Put(key, "v", at, time.Minute, 0)
	woken := at.Add(time.Hour)
	*(*int64)(unsafe.Add(unsafe.Pointer(&woken), 8)) -= int64(time.Hour) //nolint:gosec // no other way to make such a time
	if woken.Sub(at) != 0 {
		t.Skip("a Time is made in another way")
	}
	for name, tt := range map[string]struct {
		now  time.Time
		want bool
	}{
		"at once":                 {at, true},
		"within":                  {at.Add(time.Minute - 1), true},
		"too late":                {at.Add(time.Minute), false},
		"after an hour of sleep":  {woken, false},
		"set back, no monotonic":  {at.Round(0).Add(-time.Second), false},
		"set back, but monotonic": {at, true},
	} {
		if _, ok := m.Get(key, tt.now); ok != tt.want {
			t.Errorf("%s: got %t, want %t", name, ok, tt.want)
		}
	}
}

// Whoever is late changes nothing: the place may be another value's by then.
func TestRecentOfAnotherValue(t *testing.T) {
	m, now := NewRecent[string](10, 1<<20), time.Now()
	key, none := sha256.Sum256([]byte("k")), sha256.Sum256([]byte("none"))
	is := func(want string) func(string) bool { return func(v string) bool { return v == want } }
	m.Put(key, "v", now, time.Minute, 100)
	before := m.bytes
	m.Resize(key, is("w"), 900)
	m.Resize(none, is("v"), 900)
	if m.bytes != before {
		t.Errorf("another value's size: got %d bytes, want %d", m.bytes, before)
	}
	if m.Resize(key, is("v"), 900); m.bytes != before+800 {
		t.Errorf("its own size: got %d bytes, want %d", m.bytes, before+800)
	}
	for name, k := range map[string][sha256.Size]byte{"w": key, "v": none} {
		if _, ok := m.TakeIf(k, is(name)); ok {
			t.Errorf("took out %q, which isn't there", name)
		}
	}
	if k, ok := m.TakeIf(key, is("v")); !ok || k.Value != "v" || m.memory.Len() != 0 {
		t.Errorf("got %v, %t, want v taken out", k, ok)
	}
}

// The bound is one in bytes, and what has no room at all puts nothing out.
func TestRecentBytes(t *testing.T) {
	m, now := NewRecent[string](1000, 100_000), time.Now()
	key := func(n int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, n)) }
	for n := range 500 {
		value := strings.Repeat("x", n*10)
		m.Put(key(n), value, now, time.Hour, int64(len(value)))
		held := int64(0)
		for _, k := range m.memory.Values() {
			held += k.size
		}
		if held != m.bytes || held > m.most {
			t.Fatalf("says %d bytes, has %d, want %d at most", m.bytes, held, m.most)
		}
	}
	before := m.memory.Len()
	m.Put(key(1000), "", now, time.Hour, m.most)
	if m.memory.Len() != before || before == 0 {
		t.Errorf("got %d entries, want the %d from before", m.memory.Len(), before)
	}
}

// What no longer counts makes room without being asked for, where nobody asks for it again.
func TestRecentEnds(t *testing.T) {
	m := NewRecent[string](1000, 1<<20)
	m.Ends = true
	at := time.Now()
	for i := range 100 {
		m.Put(sha256.Sum256([]byte{byte(i)}), "value", at.Add(time.Duration(i)*time.Second), 10*time.Second, 100)
		if got := m.memory.Len(); got > 10 {
			t.Fatalf("got %d entries after %d, want the 10 that count", got, i+1)
		}
	}
	if m.bytes != 10*(100+KeptSize) {
		t.Errorf("got %d bytes, want %d", m.bytes, 10*(100+KeptSize))
	}
}
