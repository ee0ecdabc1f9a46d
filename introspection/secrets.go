package introspection

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

// What holds a secret prints itself without it, whatever verb or package asks: configurations end up in logs. Go asks no method
// of what stands in an unexported field of a struct, at whatever depth. There fmt and slog print the exported fields of an
// option, the secret among them, and nothing here can withhold it; with %s and %q they do so through a pointer too. What is made
// of options, a Verifier, holds its secrets within functions, of which nobody prints more than an address. So does a program that
// has to keep one.

func withheld(kind, id string) string {
	if id == "" {
		return "introspection." + kind + "{secret withheld}"
	}
	return "introspection." + kind + "{ID: " + strconv.Quote(id) + ", secret withheld}"
}

// Format implements fmt.Formatter: the secret is not printed.
func (c ClientSecretBasic) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, withheld("ClientSecretBasic", c.ID))
}

// MarshalText implements encoding.TextMarshaler: the secret is not in it.
func (c ClientSecretBasic) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: the secret is not logged.
func (c ClientSecretBasic) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: the secret is not printed.
func (c ClientSecretPost) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, withheld("ClientSecretPost", c.ID))
}

// MarshalText implements encoding.TextMarshaler: the secret is not in it.
func (c ClientSecretPost) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: the secret is not logged.
func (c ClientSecretPost) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: the key is not printed.
func (c PrivateKeyJWT) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, withheld("PrivateKeyJWT", c.ID))
}

// MarshalText implements encoding.TextMarshaler: the key is not in it.
func (c PrivateKeyJWT) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: the key is not logged.
func (c PrivateKeyJWT) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter. In an unexported field fmt would print the secret of its Authentication.
func (i *Verifier) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "introspection.Verifier")
}
