package popauth

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/forwarded"
	"github.com/seed-171ab058/popauth/internal/keys"
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
		{"tokens of one Verifier", defaultTokens*tokenSize + newTokenMemory(&keys.Set{}, defaultTokens).table()},
		{"an issuer's headers", issuerHeaders * memory.HeaderSize(strings.Repeat("x", memory.MaxKeptHeader))},
		{"an issuer's keys", 1 << 20}, // TestHostileKeySetBytes
		{"keys that there are not", none.Size()},
		{"tokens of tenants, and the issuers", 30_736_384}, // TestMemory of package issuers
		{"introspection answers", 17_048_576},              // TestMemory of package introspection
		{"headers of proofs", 2048 * memory.HeaderSize(strings.Repeat("x", memory.MaxKeptHeader))},
		{"certificates from headers", maxRememberedBytes},
		{"certificates that Verified refuses", maxResults * (memory.KeptSize + maxWords)}, // TestVerifiedKeepsNoStrangersCertificate
	} {
		t.Logf("%-36s %6.2f MiB", m.what, float64(m.bytes)/(1<<20))
		sum += m.bytes
	}
	t.Logf("%-36s %6.2f MiB", "together", float64(sum)/(1<<20))
	if sum > memoryBound {
		t.Errorf("got %d bytes, want %d at most", sum, memoryBound)
	}
}

// A request without a certificate takes no room from those that have one, whatever the proxy writes for none.
func TestForwardedMemoryOfNone(t *testing.T) {
	s, _ := Forwarded(forwarded.Apache("Cert", "Verify"), TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))).(*forwardedSource)
	for range 2 {
		c, err := s.read(http.Header{"Cert": {"(null)"}, "Verify": {"NONE"}})
		if c != nil || err != nil || s.memory.Len() != 0 || s.bytes != 0 {
			t.Errorf("got %v, %v, and %d entries of %d bytes, want no certificate, and nothing remembered", c, err, s.memory.Len(), s.bytes)
		}
	}
}

// However long the chains beside them, certificates from headers keep to their bound, and one that comes again with
// another chain counts once.
func TestForwardedMemoryBytes(t *testing.T) {
	s, _ := Forwarded(forwarded.RFC9440(), TrustPeers(netip.MustParsePrefix("192.0.2.1/32"))).(*forwardedSource)
	put := func(leaf string, chain int) {
		s.remember(&remembered{lines: [][]string{{leaf}, {strings.Repeat("x", chain)}}, certificate: &Certificate{}})
	}
	for n := range 3 {
		put("again", 1000*n)
	}
	if got, want := s.bytes, int64(1<<10+len("again")+2000); s.memory.Len() != 1 || got != want {
		t.Errorf("the same leaf: got %d entries of %d bytes, want 1 of %d", s.memory.Len(), got, want)
	}
	for n := range 1000 {
		put(fmt.Sprint(n), 60<<10)
		held := int64(0)
		for _, m := range s.memory.Values() {
			held += m.weight()
		}
		if held != s.bytes || held > maxRememberedBytes {
			t.Fatalf("after %d: got %d bytes, counted as %d, want %d at most", n, held, s.bytes, maxRememberedBytes)
		}
	}
	put("too large", maxRememberedBytes)
	if s.bytes > maxRememberedBytes {
		t.Errorf("one that is too large: got %d bytes, want %d at most", s.bytes, maxRememberedBytes)
	}
	if put("last", 1000); s.memory.Len() == 0 {
		t.Error("nothing is remembered any more")
	}
}
