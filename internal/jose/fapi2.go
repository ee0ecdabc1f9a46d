package jose

import (
	"slices"
	"strings"
	"time"
)

// fapi2 are the algorithms of FAPI 2.0 (section 5.4.1, item 1). Ed25519 is EdDSA by its own name (RFC 9864), which the
// profile's note allows.
var fapi2 = []string{"ES256", "EdDSA", "Ed25519", "PS256"}

// FAPI2 returns them, as a field Algorithms takes them.
func FAPI2() []string { return slices.Clone(fapi2) }

// CheckFAPI2 reports algorithms that are none of FAPI 2.0's, and a leeway that is not between ten seconds and sixty: what is
// up to ten ahead is accepted, and what is more than sixty is not (section 5.3.2.1, item 13).
func CheckFAPI2(algorithms []Algorithm, leeway time.Duration, problem func(field, format string, args ...any)) {
	var beyond []string
	for _, a := range algorithms {
		if !slices.Contains(fapi2, a.Name) {
			beyond = append(beyond, a.Name)
		}
	}
	if len(beyond) > 0 {
		problem("Algorithms", "%s not among %s (section 5.4.1): leave it nil, or take them away",
			strings.Join(beyond, " "), strings.Join(fapi2, " "))
	}
	if leeway < 10*time.Second || leeway > time.Minute {
		problem("Leeway", "%v is not between 10s and 1m0s (section 5.3.2.1)", leeway)
	}
}
