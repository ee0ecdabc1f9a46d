package revocation

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxAsked is how many certificates are remembered to have been asked about by a list: about 4 MiB.
const maxAsked = 1 << 14

// asked remembers about whom a list was asked, so that a later one tells of all of them, and not of the next alone.
type asked struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]map[[sha256.Size]byte]asking // by list and certificate
	n  int
}

// asking is as much of a subject as it takes to strike it.
type asking struct {
	id        [sha256.Size]byte
	serial    string
	until     time.Time
	authority *[sha256.Size]byte // nil: it issues no certificates
}

func (a *asked) note(list [sha256.Size]byte, s subject) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.of[list][s.id]; ok {
		return
	}
	if a.n >= maxAsked {
		a.makeRoom()
	}
	if a.of == nil {
		a.of = map[[sha256.Size]byte]map[[sha256.Size]byte]asking{}
	}
	if a.of[list] == nil {
		a.of[list] = map[[sha256.Size]byte]asking{}
	}
	own := asking{id: s.id, serial: s.serial, until: s.cert.NotAfter}
	if s.cert.IsCA {
		id := s.authority()
		own.authority = &id
	}
	a.of[list][s.id] = own
	a.n++
}

// makeRoom forgets one, of any list.
func (a *asked) makeRoom() {
	for list, all := range a.of {
		for id := range all {
			delete(all, id)
			a.n--
			break
		}
		if len(all) == 0 {
			delete(a.of, list)
		}
		return
	}
}

func (a *asked) about(list [sha256.Size]byte) []asking {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Values(a.of[list]))
}
