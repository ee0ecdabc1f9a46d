package certname

import (
	"errors"
	"strings"
	"testing"
)

// A refusal is remembered by what it says, up to a bound.
func TestRefusalInWords(t *testing.T) {
	for _, text := range []string{"", "no root", strings.Repeat("x", MaxWords), strings.Repeat("x", MaxWords+1)} {
		if got, want := inWords(errors.New(text)).Error(), text[:min(len(text), MaxWords)]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
