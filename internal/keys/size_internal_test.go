package keys

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/discovery"
)

// A set that is as large as a document may be, made to be expensive, is bounded, and counts for about what it needs.
func TestHostileKeySetBytes(t *testing.T) {
	modulus := make([]byte, 1024)
	for i := range modulus {
		modulus[i] = 0xff
	}
	n := base64.RawURLEncoding.EncodeToString(modulus)
	var keys []string
	for i := range 550 {
		keys = append(keys, fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB","kid":"%0250d","x5t":"%043d","x5c":["%s"]}`, n, i, i,
			strings.Repeat("A", 40)))
	}
	document := []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`)
	if len(document) > discovery.MaxDocument {
		t.Fatalf("got %d bytes, which nobody would read", len(document))
	}
	alloc := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := alloc()
	set, err := Read(document)
	if err != nil {
		t.Fatal(err)
	}
	held := alloc() - before
	t.Logf("%d keys: %d bytes, counted as %d", len(set.all), held, set.Size())
	if len(set.all) != maxKeys || held > 1<<20 || set.Size() < held/2 {
		t.Errorf("got %d keys of %d bytes, counted as %d; want %d keys, a MiB at most, and an honest count", len(set.all), held,
			set.Size(), maxKeys)
	}
	runtime.KeepAlive(document)
	runtime.KeepAlive(set)
}
