package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock says what times are of.
const Clock = "CPU time of the measuring thread"

// spent is the CPU time of this thread, which what else runs on the machine does not count towards.
func spent() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// spentByAll is the CPU time of the whole process: what other goroutines do for a request counts towards it.
func spentByAll() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// Processors are the sets of one processor each that this thread may be kept to; nil if that can't be done.
func Processors() []unix.CPUSet {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var all []unix.CPUSet
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			var one unix.CPUSet
			one.Set(cpu)
			all = append(all, one)
		}
	}
	return all
}

// pin returns what keeps the calling thread to the nth processor.
func pin(n int) func() {
	all := Processors()
	return func() {
		if len(all) > 1 {
			_ = unix.SchedSetaffinity(0, &all[n%len(all)]) // without it, the kernel finds a place
		}
	}
}
