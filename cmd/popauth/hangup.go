//go:build !js && !plan9

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangup is the signal of a terminal that is closed, unless it is ignored, as nohup has it.
func hangup() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return nil
	}
	return []os.Signal{syscall.SIGHUP}
}
