package revocation

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxWithdrawn is how many revoked certificates are remembered, of which an authority's counts as two: about 8 MiB.
const maxWithdrawn = 1 << 16

// withdrawn remembers revoked certificates, and the name and key of revoked authorities, by their digests. It outlives
// what the authority has said, and the memory for that: only acquittals end.
type withdrawn struct {
	mu    sync.Mutex
	until map[[sha256.Size]byte]withdrawal
}

// withdrawal is final, unless only files have said so: who keeps these may have to mend one.
type withdrawal struct {
	until   time.Time // the end of the certificate's period: then it is refused for that
	byFiles *subject  // whom to look for in them; nil: it is final
	at      time.Time // when the newest list was issued that has it
}

func (w *withdrawn) of(id [sha256.Size]byte) (withdrawal, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, ok := w.until[id]
	return known, ok
}

// add remembers the subject; by what files have said, or for good if that is nil.
func (w *withdrawn) add(s subject, now time.Time, files *statement) {
	own := withdrawal{until: s.cert.NotAfter}
	if files != nil {
		own.at, own.byFiles = files.at, &s
	}
	w.put(s.id, own, now)
	if s.cert.IsCA {
		w.put(s.authority(), own, now)
	}
}

func (w *withdrawn) put(id [sha256.Size]byte, own withdrawal, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = map[[sha256.Size]byte]withdrawal{}
	}
	switch known, ok := w.until[id]; {
	case ok && known.byFiles == nil:
		return // no file makes it less
	case !ok && len(w.until) >= maxWithdrawn:
		w.makeRoom(now)
	}
	w.until[id] = own
}

// mend forgets what files alone have said, if those that don't say it any more are no older. It tells whether nothing is
// left of it.
func (w *withdrawn) mend(s subject, at time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := [][sha256.Size]byte{s.id}
	if known, ok := w.until[s.id]; !ok || known.byFiles == nil || at.Before(known.at) {
		return !ok
	}
	if s.cert.IsCA {
		ids = append(ids, s.authority())
	}
	for _, id := range ids {
		if known := w.until[id]; known.byFiles != nil && known.byFiles.id == s.id {
			delete(w.until, id)
		}
	}
	return true
}

// roomLooks is how many are looked at to find some that may go: everybody waits meanwhile.
const roomLooks = 64

// makeRoom forgets those that it finds over by more than a clock may be wrong, or else one: it is asked about again.
func (w *withdrawn) makeRoom(now time.Time) {
	looked := 0
	for id, known := range w.until { // from anywhere, as maps are
		over := now.Sub(known.until) > 24*time.Hour
		if looked++; over || looked == roomLooks && len(w.until) >= maxWithdrawn {
			delete(w.until, id)
		}
		if looked == roomLooks {
			return
		}
	}
}
