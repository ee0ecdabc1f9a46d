package memory

import (
	"errors"
	"fmt"
	"testing"
)

// An error that is kept has a short text, and says yet that the set was empty.
func TestCutError(t *testing.T) {
	short := errors.New("no")
	if got := Cut(short); !errors.Is(got, short) || Cut(nil) != nil {
		t.Errorf("got %v, want the same", got)
	}
	long := make([]byte, 10*maxErrorText)
	for i := range long {
		long[i] = "\xc3\xa4"[i%2]
	}
	err := Cut(fmt.Errorf("x%s: %w", long, telling{}))
	if text := err.Error(); len(text) > maxErrorText+len("…") || text[0] != 'x' {
		t.Errorf("got %d bytes, %.10q", len(text), text)
	}
	if _, ok := errors.AsType[telling](fmt.Errorf("refused: %w", err)); !ok {
		t.Error("a cut error no longer tells what is to be found in it")
	}
}

// telling is an error that says what is to be kept of it.
type telling struct{}

func (telling) Error() string { return "empty" }
func (telling) Brief() error  { return telling{} }
