//go:build !linux

package bench

import "time"

// Clock says what times are of.
const Clock = "wall time"

var began = time.Now()

func spent() time.Duration { return time.Since(began) }

// spentByAll is the same: other goroutines work within it.
func spentByAll() time.Duration { return spent() }

func pin(int) func() { return func() {} }
