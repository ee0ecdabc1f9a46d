package popauth

import (
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// memoryBound is what docs/scale.md says of all memories that come with the defaults, but for used proofs and the
// certificates of connections.
const memoryBound = 64 << 20

// What the memories hold at most, each at its own bound and all at once.
func TestMemoriesTogether(t *testing.T) {
	none, err := NewRemoteKeys(RemoteKeysOptions{URL: "https://id.example.com/jwks"})
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, m := range []struct {
		what  string
		bytes int64
	}{
		{"tokens of one Verifier", defaultTokens*memory.EntrySize + memory.PlacesFor(defaultTokens)},
		{"an issuer's headers", issuerHeaders * memory.HeaderSize(strings.Repeat("x", memory.MaxKeptHeader))},
		{"an issuer's keys", 1 << 20}, // TestHostileKeySetBytes
		{"keys that there are not", none.Size()},
		{"tokens of tenants, and the issuers", 30_736_384}, // TestMemory of package issuers
		{"introspection answers", 17_048_576},              // TestMemory of package introspection
		{"headers of proofs", 2048 * memory.HeaderSize(strings.Repeat("x", memory.MaxKeptHeader))},
		// package proxy: TestForwardedMemoryBytes
		{"certificates from headers", 4 << 20},
		// TestVerifiedKeepsNoStrangersCertificate
		{"certificates that Verified refuses", certname.MaxResults * (memory.KeptSize + certname.MaxWords)},
	} {
		t.Logf("%-36s %6.2f MiB", m.what, float64(m.bytes)/(1<<20))
		sum += m.bytes
	}
	t.Logf("%-36s %6.2f MiB", "together", float64(sum)/(1<<20))
	if sum > memoryBound {
		t.Errorf("got %d bytes, want %d at most", sum, memoryBound)
	}
}
