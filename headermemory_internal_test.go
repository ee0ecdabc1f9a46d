package popauth

import (
	"strings"
	"testing"
	"unsafe"
)

// Whatever else is in a memory, what is found is what was put in for that very header.
func TestHeaderMemory(t *testing.T) {
	m := newHeaderMemory[string](2 * headerWays)
	var all []string
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		all = append(all, strings.Repeat("e", 99)+string(c), string(c)+strings.Repeat("e", 99))
	}
	for i, segment := range all {
		if m.find(segment) != nil {
			t.Fatalf("%s: found before it was put in", segment)
		}
		m.put(segment, "says "+segment)
		if got := m.find(segment); got == nil || *got != "says "+segment {
			t.Fatalf("%s: got %v", segment, got)
		}
		found := 0
		for _, other := range all {
			if got := m.find(other); got != nil {
				found++
				if *got != "says "+other {
					t.Fatalf("%s: got %s", other, *got)
				}
			}
		}
		if most := min(i+1, len(m.places)); found > most || i == len(all)-1 && found != most {
			t.Errorf("%d put in: %d are found, of %d", i+1, found, most)
		}
	}
	for i := range m.places {
		if k := m.places[i].Load(); k != nil {
			for _, segment := range all {
				if unsafe.StringData(segment) == unsafe.StringData(k.segment) { //nolint:gosec // G103: nothing is read there
					t.Fatal("a part of a request is kept, and with it all of the request")
				}
			}
		}
	}
	large := strings.Repeat("e", maxKeptHeader+1)
	m.put(large, "")
	for i := range m.places {
		if k := m.places[i].Load(); m.find(large) != nil || k != nil && k.segment == large {
			t.Error("a header of any size is kept")
		}
	}
	m.put(large[1:], "")
	if m.find(large[1:]) == nil {
		t.Error("the largest header is not kept")
	}
	m = nil
	m.put("e", "")
	if m.find("e") != nil || m.size() != 0 {
		t.Error("found in no memory")
	}
}

// What is kept is a copy: the memory of a segment may be another's by the next look.
func TestHeaderMemoryKeepsCopies(t *testing.T) {
	m := newHeaderMemory[string](headerWays) // one set, so that all meet
	place := []byte("header of alice")
	m.put(unsafe.String(&place[0], len(place)), "alice") //nolint:gosec // as adapters do
	copy(place, "header of bobby")
	if got := m.find("header of bobby"); got != nil {
		t.Errorf("got %q for a header that was never put in", *got)
	}
	if got := m.find("header of alice"); got == nil || *got != "alice" {
		t.Errorf("got %v, want what was put in", got)
	}
}

// The size is that of what is there, however much came before it.
func TestHeaderMemorySize(t *testing.T) {
	m := newHeaderMemory[string](headerWays)
	empty := m.size()
	for n := range 100 {
		m.put(strings.Repeat("x", 100+n), "says")
	}
	want := empty
	for i := range m.places {
		want += headerSize(m.places[i].Load().segment)
	}
	if got := m.size(); got != want || got <= empty {
		t.Errorf("got %d bytes, want %d", got, want)
	}
}

// A header puts out another only when its places are taken: else clients that there is room for would push each other out.
func TestHeaderMemoryTakesFreePlaces(t *testing.T) {
	for range 20 { // each with a seed of its own
		m := newHeaderMemory[int](headerWays) // one set
		for n := range headerWays {
			m.put(strings.Repeat("e", 1+n), n)
		}
		for n := range headerWays {
			if got := m.find(strings.Repeat("e", 1+n)); got == nil || *got != n {
				t.Fatalf("header %d of %d: got %v, want it to be found", n, headerWays, got)
			}
		}
	}
}
