package popauth

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// What holds a secret prints itself without it, whatever verb or package asks: configurations end up in logs. Go asks no method
// of what stands in an unexported field of a struct, at whatever depth. There fmt and slog print the exported fields of an
// option, the secret among them, and nothing here can withhold it; with %s and %q they do so through a pointer too. What is made
// of options, a Guard or a Trust, holds its secrets within functions, of which nobody prints more than an
// address. So does a program that has to keep one.

func withheld(kind, id string) string {
	if id == "" {
		return "popauth." + kind + "{secret withheld}"
	}
	return "popauth." + kind + "{ID: " + strconv.Quote(id) + ", secret withheld}"
}

// Format implements fmt.Formatter: the secrets are not printed.
func (n StatelessNonces) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, withheld("StatelessNonces", ""))
}

// MarshalText implements encoding.TextMarshaler: the secrets are not in it.
func (n StatelessNonces) MarshalText() ([]byte, error) { return fmt.Append(nil, n), nil }

// LogValue implements slog.LogValuer: the secrets are not logged.
func (n StatelessNonces) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(n)) }

// Format implements fmt.Formatter. In an unexported field fmt would print the secrets of what it holds.
func (g *Guard) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "popauth.Guard") }
