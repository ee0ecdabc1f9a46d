package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"sync"
)

// bodies bounds the memory for what is fetched until it is known who has signed it. Each fetch may read a little; to read
// more, it has to be one of few, and of its authority the only one.
type bodies struct {
	little int // bytes, for each fetch

	mu      sync.Mutex
	reading map[[sha256.Size]byte]bool // more than a little, by authority
	changed chan struct{}              // closed when one has ended
}

const (
	// largeAtOnce are read at a time. While a buffer grows, it and the one before take half as much again as the largest
	// that is read: together that is three of them, and another one for all the little ones.
	largeAtOnce = 2

	littleShare = 2 * maxListsAtOnce // of the largest that is read
	firstRead   = 8 << 10
)

// maxList is how long a list may be on its way, with so much memory for what is kept: its entries have dates and
// reasons, of which nothing is.
func maxList(memory int) int { return min(maxListSize, 4*memory) }

func newBodies(o Options) *bodies {
	return &bodies{
		little: maxList(o.MaxMemory) / littleShare, reading: map[[sha256.Size]byte]bool{}, changed: make(chan struct{}),
	}
}

// reading is one fetch's part of the memory, until it ends: when what was read has been looked at.
type reading struct {
	*bodies
	of    [sha256.Size]byte
	large bool
}

func (b *bodies) begin(top *x509.Certificate) *reading {
	return &reading{bodies: b, of: digest("memory for an authority", top.RawSubject, top.RawSubjectPublicKeyInfo)}
}

func (r *reading) end() {
	if r.large {
		r.leave(r.of)
	}
}

// read reads up to most bytes.
func (r *reading) read(ctx context.Context, from io.Reader, most int) ([]byte, error) {
	data := make([]byte, 0, firstRead)
	for {
		n, err := from.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > most:
			return nil, fmt.Errorf("more than %d bytes", most)
		case err == io.EOF: //nolint:errorlint // io.Reader: it is returned as it is
			return data, nil
		case err != nil:
			return nil, err
		case len(data) < cap(data):
			continue
		}
		next := min(2*cap(data), most+1)
		if next > r.little && !r.large {
			if err := r.enter(ctx, r.of); err != nil {
				return nil, err
			}
			r.large = true
		}
		grown := make([]byte, len(data), next)
		copy(grown, data)
		data = grown
	}
}

// enter waits until one of those that read more has ended, or the authority's own has.
func (b *bodies) enter(ctx context.Context, of [sha256.Size]byte) error {
	for {
		b.mu.Lock()
		if len(b.reading) < largeAtOnce && !b.reading[of] {
			b.reading[of] = true
			b.mu.Unlock()
			return nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return &crowdedError{fmt.Sprintf("no memory for more than %d bytes, of which %d at once are read, and one for an authority",
				b.little, largeAtOnce), context.Cause(ctx)}
		}
	}
}

func (b *bodies) leave(of [sha256.Size]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.reading, of)
	close(b.changed)
	b.changed = make(chan struct{})
}
