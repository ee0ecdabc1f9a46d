package lab

import (
	"crypto/fips140"
	"testing"
)

// NeedUnapproved skips a test of what crypto's packages refuse under GODEBUG=fips140=only, where they panic.
func NeedUnapproved(tb testing.TB, what string) {
	tb.Helper()
	if fips140.Enforced() {
		tb.Skipf("GODEBUG=fips140=only forbids %s", what)
	}
}
