package popauth_test

import (
	"testing"

	"github.com/seed-171ab058/popauth"
)

// The tests' own program is built from this tree: by its version control, or without.
func TestVersion(t *testing.T) {
	if got := popauth.Version(); got != "(devel)" && got[0] != 'v' {
		t.Errorf("got %q, want a version or (devel)", got)
	}
}
