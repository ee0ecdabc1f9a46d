package revocation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"time"
	"unsafe"

	"github.com/seed-171ab058/popauth/internal/calls"
)

// Since is how an age is reckoned.
var Since = since

// CheckAddress looks at what is dialled.
var CheckAddress = checkAddress

// Remembered is what the memory for lists and answers holds, in bytes as it counts them, and the number of entries.
func (c *Checker) Remembered() (bytes, lists, answers int) {
	c.lists.mu.Lock()
	bytes, lists = c.lists.bytes, len(c.lists.entries)
	c.lists.mu.Unlock()
	c.answers.mu.Lock()
	defer c.answers.mu.Unlock()
	return bytes + c.answers.bytes, lists, len(c.answers.entries)
}

// Stepped is t with the calendar set forward and the monotonic reading as it was: a machine that has slept.
func Stepped(t time.Time, d time.Duration) time.Time {
	type raw struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	r := (*raw)(unsafe.Pointer(&t)) //nolint:gosec // G103: there is no other way to put such a time together
	r.wall = uint64(int64(r.wall) + int64(d/time.Second)<<30)
	return t
}

// ReadAnswer reads an OCSP response about the first certificate of the chain, and tells whether it revokes.
func ReadAnswer(body []byte, chain []*x509.Certificate, now time.Time) (revoked bool, err error) {
	a, err := readAnswer(body, newSubject(chain, 0), now, time.Hour)
	if err != nil {
		return false, err
	}
	return a.revoked, nil
}

// Reading has a file under way to be read since then, until end is called.
func (c *Checker) Reading(path string, since time.Time) (end func()) {
	for _, f := range c.files {
		if f.path == path {
			f.mu.Lock()
			defer f.mu.Unlock()
			flight := make(chan struct{})
			f.flight, f.began = flight, since
			return func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.flight, f.looked = nil, f.options.Now()
				close(flight)
			}
		}
	}
	panic("no such file")
}

// Withdrawn is how many certificates and authorities are remembered as revoked.
func (c *Checker) Withdrawn() int {
	c.withdrawn.mu.Lock()
	defer c.withdrawn.mu.Unlock()
	return len(c.withdrawn.until)
}

// Asked is how many certificates are remembered to have been asked about, once so many were, by three lists.
func Asked(cert, issuer *x509.Certificate, n int) int {
	var a asked
	for i := range n {
		own := *cert
		own.SerialNumber = big.NewInt(int64(i))
		for range 2 { // the second time it is known
			a.note([32]byte{byte(i % 3)}, newSubject([]*x509.Certificate{&own, issuer}, 0))
		}
	}
	held := 0
	for list := range a.of {
		held += len(a.about(list))
	}
	return held
}

// Busy takes all places for fetches of lists.
func (c *Checker) Busy() (leave func()) {
	end := make(chan struct{})
	for n := range maxListsAtOnce {
		c.lists.calls.Begin(calls.Question[[sha256.Size]byte, *list]{
			Key: [sha256.Size]byte{byte(n)}, Lately: true, Known: func() (*list, bool) { return nil, false },
			Ask: func(context.Context) (*list, error) { <-end; return nil, nil },
		})
	}
	return func() { close(end) }
}

// ReadList reads a CRL, and returns what finds a number in it.
func ReadList(der []byte) (find func(number string) (found, hold bool), err error) {
	l, err := parseList(der)
	if err != nil {
		return nil, err
	}
	return l.serials.find, nil
}

// Failed tells whether a source counts as failed whose fetch ended so, having been asked for so long; negative: not at all.
func Failed(asked time.Duration, err error, timeout time.Duration) bool {
	m := newRemote[*answer](Options{Timeout: timeout, Now: time.Now}, leastMemory, 1)
	e := m.entry([32]byte{})
	if asked >= 0 {
		e.reached = time.Now().Add(-asked)
	}
	m.landed(e, nil, err, time.Now())
	return e.paused(time.Now()) && e.mayBeOld(time.Now(), nil, timeout)
}
