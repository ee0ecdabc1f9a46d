package load

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pinned tells whether processes can be kept on one processor each.
func Pinned() bool { return len(processors()) > 1 }

func processors() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var all []int
	for cpu := range 64 * len(set) {
		if set.IsSet(cpu) {
			all = append(all, cpu)
		}
	}
	return all
}

// on calls start with this thread on the nth processor that this process may use. What it starts stays there.
func on(n int, start func() error) error {
	all := processors()
	if len(all) < 2 {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(all[n%len(all)])
	if err := unix.SchedSetaffinity(0, &one); err != nil {
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
