package field_test

import (
	"testing"

	"github.com/seed-171ab058/popauth/internal/field"
)

// Nothing that is written into a challenge ends its quoted string.
func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"": `""`, " a~": `" a~"`, `a", error="b`: `"a', error='b"`, `a\`: `"a'"`, "a\r\n": `"a''"`, "é": `"'"`, "\x7f": `"'"`,
	} {
		if got := field.Quote(s); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
}
