package jose

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// fapi2 are the algorithms of FAPI 2.0 (section 5.4.1, item 1). Ed25519 is EdDSA by its own name (RFC 9864), which the
// profile's note allows.
var fapi2 = []string{"ES256", "EdDSA", "Ed25519", "PS256"}

// FAPI2 returns them, as a field Algorithms takes them.
func FAPI2() []string { return slices.Clone(fapi2) }

// KeepsFAPI2 returns an error that names those of the algorithms that are none of FAPI 2.0's.
func KeepsFAPI2(algorithms []Algorithm) error {
	var beyond []string
	for _, a := range algorithms {
		if !slices.Contains(fapi2, a.Name) {
			beyond = append(beyond, a.Name)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	return fmt.Errorf("Algorithms has %s, and FAPI 2.0 only %s (section 5.4.1): leave it nil, or take those away", //nolint:staticcheck // a field's name
		strings.Join(beyond, " "), strings.Join(fapi2, " "))
}

// KeepsFAPI2Leeway is section 5.3.2.1, item 13: what is up to ten seconds ahead is accepted, and what is more than sixty is not.
func KeepsFAPI2Leeway(leeway time.Duration) error {
	if leeway < 10*time.Second || leeway > time.Minute {
		return fmt.Errorf("Leeway is %v, and FAPI 2.0 asks for 10s to 1m0s (section 5.3.2.1)", leeway) //nolint:staticcheck // a field's name
	}
	return nil
}
