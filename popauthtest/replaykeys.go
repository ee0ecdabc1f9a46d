package popauthtest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
)

// testKeys uses the same id under keys that are alike, and ids that with their keys make the same text.
func (r *replayTest) testKeys() {
	stores, until := r.stores(), r.soon()
	type name struct{ key, id string }
	var names []name
	for _, key := range []string{
		"key", "KEY", "key ", " key", "key\x00", "ke", "{key}", "{key", "key}", "key:", "key/", "\xff", "\xfe", strings.Repeat("key", 4096),
	} {
		names = append(names, name{key, "id"})
	}
	for _, between := range []string{"", ":", "}", "{", "\x00", "/", " ", "|"} {
		// The second has what the first may be told apart by in its key, the third in its id.
		names = append(names, name{"a" + between, "b"}, name{"a" + between + between, "b"}, name{"a", between + between + "b"})
	}
	seen := map[name]bool{}
	for _, n := range names {
		if fresh, err := r.useOf(stores[0], n.key, n.id, until); err != nil || fresh == seen[n] {
			r.problem("first use of the id %q of the key %.20q: got %v, %v, want %v", n.id, n.key, fresh, err, !seen[n])
		}
		seen[n] = true
	}
	for _, n := range names {
		if fresh, err := r.useOf(stores[1], n.key, n.id, until); fresh || err != nil {
			r.problem("second use of the id %q of the key %.20q: got %v, %v, want false", n.id, n.key, fresh, err)
		}
	}
}

// testPerKey gives one key ten times as many ids as it may have, from many goroutines, and looks at another meanwhile.
func (r *replayTest) testPerKey() {
	stores, until := r.stores(), r.soon()
	const goroutines = 50
	var mu sync.Mutex
	var held []string
	together(goroutines, func(g int) {
		for i := range 10 * r.PerKey / goroutines {
			id := fmt.Sprint("busy ", g, " ", i)
			fresh, err := r.useOf(stores[g%2], "busy", id, until)
			if !fresh && !errors.Is(err, popauth.ErrProofLimit) {
				r.problem("an id of a key with too many: got %v, %v, want an error that wraps ErrProofLimit", fresh, err)
			}
			if fresh {
				mu.Lock()
				held = append(held, id)
				mu.Unlock()
			}
			if i == r.PerKey/goroutines {
				quiet := fmt.Sprint("quiet ", g)
				if fresh, err := r.useOf(stores[g%2], quiet, id, until); !fresh || err != nil {
					r.problem("an id of another key, while one has too many: got %v, %v, want true", fresh, err)
				}
			}
		}
	})
	if len(held) != r.PerKey {
		r.problem("%d ids of one key at once: got %d accepted, want %d", 10*r.PerKey, len(held), r.PerKey)
	}
	for i, id := range held {
		if fresh, err := r.useOf(stores[i%2], "busy", id, until); fresh || err != nil {
			r.problem("a used id of a key with too many: got %v, %v, want false", fresh, err)
			return
		}
	}
	r.testPerKeyTime(stores)
}

// testPerKeyTime looks whether a key that had all its ids can have as many again when their time is over.
func (r *replayTest) testPerKeyTime(stores [2]replayStore) {
	all := func(round string, until time.Time) bool {
		for i := range r.PerKey {
			if fresh, err := r.useOf(stores[i%2], "again", fmt.Sprint(round, i), until); !fresh {
				r.problem("id number %d of a key, the %s time: got %v, %v, want true", i, round, fresh, err)
				return false
			}
		}
		return true
	}
	// Time enough for all of them.
	until := r.Now().Add(2*time.Second + time.Duration(r.PerKey)*5*time.Millisecond)
	if !all("first", until) {
		return
	}
	r.wait(until.Add(-100 * time.Millisecond))
	if fresh, err := r.useOf(stores[0], "again", "early", r.soon()); (fresh || !errors.Is(err, popauth.ErrProofLimit)) &&
		!r.Now().After(until) {
		r.problem("one id more, before the time of the others is over: got %v, %v, want an error that wraps ErrProofLimit", fresh, err)
		return
	}
	r.wait(until.Add(r.PerKeyGrace))
	all("second", r.soon())
}
