package counterpart

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips the test if one of these programs isn't installed. Under CI=true the test fails.
func Need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Missing(tb, err)
		}
	}
}

// Missing skips the test for this reason. Under CI=true, where all has to be installed, the test fails.
func Missing(tb testing.TB, reason error) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(reason)
	}
	tb.Skip(reason)
}
