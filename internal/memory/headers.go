package memory

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	headerWays = 4 // places that one header may be in
	// MaxKeptHeader is the longest header that is kept, in bytes.
	MaxKeptHeader = 1 << 10 // room for an RSA key of 4096 bits
)

// Headers keeps what the headers of JWSs say: to the letter they are the same in all tokens of one key of an
// issuer, and in all proofs of one client. What is found is compared as a whole, so it says what reading it again would.
// Only what was verified is put in. It is bounded, and a look takes no lock. A nil memory is empty.
type Headers[H any] struct {
	seed   maphash.Seed // protects nothing: what is found is compared
	places []atomic.Pointer[knownHeader[H]]
	bytes  atomic.Int64
}

type knownHeader[H any] struct {
	segment string
	says    H
}

// NewHeaders has so many places, a multiple of headerWays.
func NewHeaders[H any](places int) *Headers[H] {
	return &Headers[H]{seed: maphash.MakeSeed(), places: make([]atomic.Pointer[knownHeader[H]], places)}
}

// Find returns what is known of a header's segment; nil if nothing is. It is shared.
func (m *Headers[H]) Find(segment string) *H {
	if m == nil || len(segment) > MaxKeptHeader {
		return nil
	}
	set, _ := m.set(segment)
	for i := range set {
		if k := set[i].Load(); k != nil && k.segment == segment {
			return &k.says
		}
	}
	return nil
}

// Put keeps what a header says, and forgets another if there is no place.
func (m *Headers[H]) Put(segment string, says H) {
	if m == nil || len(segment) > MaxKeptHeader {
		return
	}
	set, hash := m.set(segment)
	i := hash >> 62 // any: one that is put out is read again
	for free := range set {
		if set[free].Load() == nil {
			i = uint64(free)
			break
		}
	}
	m.bytes.Add(HeaderSize(segment))
	if old := set[i].Swap(&knownHeader[H]{strings.Clone(segment), says}); old != nil {
		m.bytes.Add(-HeaderSize(old.segment))
	}
}

// HeaderSize is about what a known header needs, in bytes: its text, and what it says.
func HeaderSize(segment string) int64 { return 256 + 2*int64(len(segment)) }

// Size is about what the memory needs, in bytes.
func (m *Headers[H]) Size() int64 {
	if m == nil {
		return 0
	}
	return int64(len(m.places))*8 + m.bytes.Load()
}

func (m *Headers[H]) set(segment string) (places []atomic.Pointer[knownHeader[H]], hash uint64) {
	hash = maphash.String(m.seed, segment)
	return m.places[hash%uint64(len(m.places)/headerWays)*headerWays:][:headerWays], hash
}
