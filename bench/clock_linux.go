package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// spent is the CPU time of this thread, which what else runs on the machine does not count towards.
func spent() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// Clock says what times are of.
const Clock = "CPU time of the measuring thread"
