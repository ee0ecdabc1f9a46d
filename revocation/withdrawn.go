package revocation

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxWithdrawn is how many revoked certificates are remembered: about 8 MiB.
const maxWithdrawn = 1 << 16

// withdrawn remembers revoked certificates, and the name and key of revoked authorities, by their digests. It outlives
// what the authority has said, and the memory for that: only acquittals end.
type withdrawn struct {
	mu    sync.Mutex
	until map[[sha256.Size]byte]time.Time // the end of the certificate's period: then it is refused for that
}

func (w *withdrawn) has(id [sha256.Size]byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.until[id]
	return ok
}

func (w *withdrawn) add(s subject, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = map[[sha256.Size]byte]time.Time{}
	}
	if len(w.until) >= maxWithdrawn {
		w.makeRoom(now)
	}
	w.until[s.id] = s.cert.NotAfter
	if s.cert.IsCA {
		w.until[s.authority()] = s.cert.NotAfter
	}
}

// makeRoom forgets those that are over by more than a clock may be wrong, or else one: it is asked about again.
func (w *withdrawn) makeRoom(now time.Time) {
	for id, until := range w.until {
		if now.Sub(until) > 24*time.Hour {
			delete(w.until, id)
		}
	}
	for id := range w.until {
		if len(w.until) < maxWithdrawn-1 {
			return
		}
		delete(w.until, id)
	}
}
