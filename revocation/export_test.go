package revocation

import (
	"crypto/x509"
	"time"
	"unsafe"
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
