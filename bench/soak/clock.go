//go:build unix

package soak

import (
	"errors"
	"sync/atomic"
	"time"
	"unsafe"
)

// clock is the system's, set forward or back. As when that is set, the monotonic clock goes on as if nothing were: Add
// alone would move both, and hide what a program does with two that disagree.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time {
	d := c.offset.Load()
	t := time.Now().Add(time.Duration(d))
	*monotonic(&t) -= d
	return t
}

func (c *clock) set(offset time.Duration) { c.offset.Store(int64(offset)) }

// monotonic is the second word of a Time that has a monotonic reading, which package time has no function for; check
// tells whether it still is.
func monotonic(t *time.Time) *int64 {
	return (*int64)(unsafe.Add(unsafe.Pointer(t), unsafe.Sizeof(uint64(0)))) //nolint:gosec // check makes sure of it
}

var errClock = errors.New("package time keeps the monotonic clock elsewhere: change clock.go")

// check fails if the wall clock isn't all that is moved.
func (c *clock) check() error {
	before := time.Now()
	c.set(time.Hour)
	moved := c.Now()
	c.set(0)
	byMonotonic, byWall := moved.Sub(before), moved.Round(0).Sub(before.Round(0))
	if byMonotonic < 0 || byMonotonic > time.Minute || byWall < time.Hour || byWall > time.Hour+time.Minute {
		return errClock
	}
	return nil
}
