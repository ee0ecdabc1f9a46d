package keys

import (
	"fmt"
	"net/url"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/jose"
)

func TestAbsentKidsAreBounded(t *testing.T) {
	k := testRemote(&url.URL{Scheme: "https", Host: "id.example.com", Path: "/jwks"}, nil, discovery.NewClient(nil, time.Now))
	for n := range 10 * maxAbsent {
		k.miss(sought{id: ID{jose.ByKeyID, fmt.Sprint(n)}}, time.Now())
		if got := len(k.absent.list); got > maxAbsent {
			t.Fatalf("kids remembered: got %d, want %d at most", got, maxAbsent)
		}
	}
	got := unsafe.Sizeof(absence{}) * uintptr(cap(k.absent.list))
	if got > absentSize || got != absentSize && unsafe.Sizeof(uintptr(0)) == 8 { // with 32 bits it is smaller
		t.Errorf("their memory: got %d bytes, want %d, as which it counts", got, absentSize)
	}
}

// Many who waited for the same fetch are told the same, which must not count as many fetches.
func TestAbsenceGrowsByFetch(t *testing.T) {
	k := testRemote(&url.URL{Scheme: "https", Host: "id.example.com", Path: "/jwks"}, nil, discovery.NewClient(nil, time.Now))
	at, id := time.Now(), ID{jose.ByKeyID, "k"}
	for n, want := range []time.Duration{10, 20, 40, 60, 60, 60} { // a longer one would lock a key out whose name was guessed
		for range 100 {
			k.miss(sought{id: id}, at.Add(time.Duration(n)*time.Hour))
		}
		if got := k.absent.find(absentName(id)).wait; got != want*time.Second {
			t.Errorf("after %d fetches: got %v, want %v", n+1, got, want*time.Second)
		}
	}
}

// A request that comes late, after a fetch that it knows nothing of, looks at what that brought before it asks again.
func TestLookForTakesWhatIsThere(t *testing.T) {
	k := testRemote(&url.URL{Scheme: "https", Host: "id.example.com", Path: "/jwks"}, nil, discovery.NewClient(nil, time.Now))
	id := ID{jose.ByKeyID, "k"}
	newer := &fetched{at: time.Now(), lifetime: time.Hour, Set: &Set{named: map[ID][]issuerKey{id: {{}}}}}
	k.current.Store(newer)
	if got, err := k.lookFor(t.Context(), sought{id: id}, 0); got != newer || err != nil || k.flight != nil {
		t.Errorf("got %p, %v, flight %v; want %p, none", got, err, k.flight, newer)
	}
}

// What is over for longest makes room, and what is asked for again and again stays.
func TestAbsencesMakeRoom(t *testing.T) {
	var m absences
	start, often := time.Now(), ID{jose.ByKeyID, "often"}
	for n := range 10 * maxAbsent {
		at := start.Add(time.Duration(n) * 10 * time.Second)
		m.miss(ID{jose.ByKeyID, fmt.Sprint(n)}, at, 10*time.Second)
		if n%6 == 0 {
			m.miss(often, at, 10*time.Second)
		}
	}
	if a := m.find(absentName(often)); a == nil || a.wait != maxAbsence {
		t.Errorf("got %v, want a back-off of %v", a, maxAbsence)
	}
	if m.asked(ID{jose.BySHA256, "often"}, start) {
		t.Error("a thumbprint counts as absent because a kid of that name is")
	}
}

func TestAbsenceAsked(t *testing.T) {
	at := time.Now()
	for after, want := range map[time.Duration]bool{
		0: true, 9 * time.Second: true, 10 * time.Second: false, time.Hour: false,
		-time.Minute: true, -time.Hour: false, // a clock that was set back must not keep a key out for an hour
	} {
		if got := (absence{at: at, wait: 10 * time.Second}).asked(at.Add(after)); got != want {
			t.Errorf("after %v: got %v, want %v", after, got, want)
		}
	}
	if (absence{}).asked(at) {
		t.Error("a kid that was never looked for counts as absent")
	}
}

// After the clock was set back to before the last fetch, nobody knows how old the keys are.
func TestKeysOfAClockSetBack(t *testing.T) {
	at, keys := time.Now().Round(0), &Set{}
	k := &Remote{schedule: schedule{cooldown: time.Minute}}
	for name, tt := range map[string]struct {
		after time.Duration
		want  bool
	}{"at once": {0, true}, "within": {time.Minute - 1, true}, "later": {time.Minute, false}, "set back": {-time.Second, false}} {
		if got := k.known(sought{than: keys}, &fetched{Set: keys, at: at}, at.Add(tt.after)); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}

// testRemote has the settings that RemoteKeys have by default.
func testRemote(u *url.URL, issuer *discovery.Issuer, client *discovery.Client) *Remote {
	return NewRemote(RemoteOptions{
		Client: client, Issuer: issuer, URL: u, Timeout: 10 * time.Second, Wait: 5 * time.Second, Refresh: time.Hour,
		MaxAge:   24 * time.Hour,
		Cooldown: 10 * time.Second, Now: time.Now,
	})
}
