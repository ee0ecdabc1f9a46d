//go:build unix

package soak

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// health is what a process holds at one time.
type health struct {
	at         time.Time
	rss, heap  uint64 // bytes; rss is zero where it can't be told
	goroutines int
	files      int // open file descriptors; zero where it can't be told
	since      time.Time
}

// look asks each API process.
func (w *world) look() (all [2]health, err error) {
	for n, i := range w.apis {
		s, err := i.state()
		if err != nil {
			return all, err
		}
		i.mu.Lock()
		pid, since := i.child.pid(), i.since
		i.mu.Unlock()
		rss, files := resources(pid)
		all[n] = health{at: time.Now(), rss: rss, heap: s.Heap, goroutines: s.Goroutines, files: files, since: since}
	}
	return all, nil
}

// resources are what Linux tells of a process.
func resources(pid int) (rss uint64, files int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseUint(strings.Fields(value)[0], 10, 64)
			if err == nil {
				rss = kilobytes << 10
			}
		}
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return rss, 0
	}
	return rss, len(entries)
}

// What a process may hold more at the end than at the start, under the same load: connections come and go, and memories
// fill up to their bounds, which docs/scale.md has.
const (
	moreGoroutines = 60
	moreFiles      = 60
	moreHeap       = 64 << 20
)

// grown says what a process holds too much of.
func (h health) grown(start health) []string {
	var all []string
	if h.goroutines > start.goroutines+moreGoroutines {
		all = append(all, "goroutines")
	}
	if h.files > start.files+moreFiles {
		all = append(all, "file descriptors")
	}
	if h.heap > start.heap+moreHeap {
		all = append(all, "heap")
	}
	if start.rss > 0 && h.rss > start.rss+2*moreHeap {
		all = append(all, "RSS")
	}
	return all
}
