package popauth

import (
	"fmt"
	"io"
)

// What holds a secret prints itself without it, whatever verb or package asks: configurations end up in logs. Go asks no method
// of what stands in an unexported field of a struct, at whatever depth. There fmt and slog print the exported fields of an
// option, the secret among them, and nothing here can withhold it; with %s and %q they do so through a pointer too. What is made
// of options, a Guard or a Trust, holds its secrets within functions, of which nobody prints more than an address. So does a
// program that has to keep one.

// Format implements fmt.Formatter. In an unexported field fmt would print the secrets of what it holds.
func (g *Guard) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "popauth.Guard") }
