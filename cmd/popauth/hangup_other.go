//go:build js || plan9

package main

import "os"

// hangup is a signal that this platform doesn't have.
func hangup() []os.Signal { return nil }
