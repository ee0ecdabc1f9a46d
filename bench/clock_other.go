//go:build !linux

package bench

import "time"

var began = time.Now()

func spent() time.Duration { return time.Since(began) }

// Clock says what times are of.
const Clock = "wall time"
