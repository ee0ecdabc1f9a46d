package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// A request without a certificate takes no room from those that have one, whatever the proxy writes for none.
func TestForwardedMemoryOfNone(t *testing.T) {
	s := newReader(Apache("Cert", "Verify"))
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
	s := newReader(RFC9440())
	put := func(leaf string, chain int) {
		s.remember(&remembered{lines: [][]string{{leaf}, {strings.Repeat("x", chain)}}, certificate: &popauth.Certificate{}})
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
