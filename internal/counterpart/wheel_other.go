//go:build !unix

package counterpart

import (
	"errors"
	"testing"
)

// Wheel is a program for Linux: see the file for Unix.
type Wheel struct{}

// Caddy is for Linux alone.
func Caddy() Wheel { return Wheel{} }

// Traefik is for Linux alone.
func Traefik() Wheel { return Wheel{} }

// Envoy is for Linux alone.
func Envoy() Wheel { return Wheel{} }

// Path skips the test.
func (Wheel) Path(tb testing.TB) string {
	tb.Helper()
	Missing(tb, errors.New("the program is for linux/amd64"))
	return ""
}
