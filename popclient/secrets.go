package popclient

import (
	"fmt"
	"io"
	"log/slog"
)

// What holds a secret prints itself without it, whatever verb or package asks: configurations end up in logs. Go asks no method
// of what stands in an unexported field of a struct; so a MutualTLS holds its secret within a function.

// Format implements fmt.Formatter: the secret is not printed.
func (c ClientSecretBasic) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "popclient.ClientSecretBasic{secret withheld}")
}

// MarshalText implements encoding.TextMarshaler: the secret is not in it.
func (c ClientSecretBasic) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: the secret is not logged.
func (c ClientSecretBasic) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: the secret is not printed.
func (c ClientSecretPost) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "popclient.ClientSecretPost{secret withheld}")
}

// MarshalText implements encoding.TextMarshaler: the secret is not in it.
func (c ClientSecretPost) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// LogValue implements slog.LogValuer: the secret is not logged.
func (c ClientSecretPost) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format implements fmt.Formatter: the private key, which is in its memory, is not printed.
func (k *Key) Format(f fmt.State, _ rune) {
	if k == nil || k.signer == nil {
		_, _ = io.WriteString(f, "popclient.Key{}")
		return
	}
	_, _ = io.WriteString(f, "popclient.Key{"+k.alg.name+", "+k.thumbprint+"}")
}
