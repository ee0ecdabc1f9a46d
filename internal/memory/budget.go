package memory

import (
	"sync"
	"sync/atomic"
)

// Budget is a bound in bytes for several Tables together. When it is used up, the one that holds most makes room. Make it with
// NewBudget; the nil one has no bound. It is safe for concurrent use.
type Budget struct {
	most int64
	used atomic.Int64

	mu      sync.Mutex
	holders map[holder]struct{}
	found   holder // the largest at the last scan of all; nil: scan them
	enough  int64  // bytes: as long as it holds them, it is still about the largest
	uses    int
}

// holder is a Table with a budget.
type holder interface {
	Bytes() int64       // held
	shed(n int64) int64 // makes room for n bytes, if it can, and returns how much it has freed
}

// NewBudget returns a Budget of so many bytes at most.
func NewBudget(most int64) *Budget { return &Budget{most: most, holders: map[holder]struct{}{}} }

// Used is how many bytes are taken.
func (b *Budget) Used() int64 { return b.used.Load() }

// maxShed is how many holders at most make room for one entry.
const maxShed = 4

// reserve takes n bytes, and returns false if there is no room to be had. The caller holds no Table's lock. A nil Budget
// has room for everything.
func (b *Budget) reserve(n int64) bool {
	if b == nil {
		return true
	}
	for range maxShed {
		if b.used.Add(n) <= b.most {
			return true
		}
		b.used.Add(-n)
		h := b.largest()
		if h == nil || h.shed(n) == 0 {
			return false
		}
	}
	return false
}

func (b *Budget) release(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// maxUses is how often at most the same holder makes room before the next scan of all.
const maxUses = 64

// largest returns the holder that holds most, or held most a moment ago: to scan a thousand of them for each entry would
// take longer than to verify its token. What others have grown by since they have taken from that one.
func (b *Budget) largest() holder {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.found != nil && b.uses < maxUses && b.found.Bytes() >= b.enough {
		b.uses++
		return b.found
	}
	most := int64(0)
	b.found, b.uses = nil, 0
	for h := range b.holders {
		if n := h.Bytes(); n > most {
			b.found, most = h, n
		}
	}
	b.enough = most - most/8
	return b.found
}

func (b *Budget) add(h holder) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holders[h] = struct{}{}
	}
}

func (b *Budget) remove(h holder) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.holders, h)
		if b.found == h {
			b.found = nil
		}
	}
}
