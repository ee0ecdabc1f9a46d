package load

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-171ab058/popauth/bench"
)

// Pinned tells whether processes can be kept on one processor each.
func Pinned() bool { return len(bench.Processors()) > 1 }

// on calls start with this thread on the nth processor that this process may use. What it starts stays there.
func on(n int, start func() error) error {
	all := bench.Processors()
	if len(all) < 2 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &all[n%len(all)]); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }() // it was so before
	return start()
}

// used is the CPU time of this process, in nanoseconds.
func used() (int64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return u.Utime.Nano() + u.Stime.Nano(), nil
}
