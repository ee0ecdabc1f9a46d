package certname

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// OneOf compares in constant time.
func OneOf(sums [][sha256.Size]byte, have [sha256.Size]byte) bool {
	found := 0
	for _, want := range sums {
		found |= subtle.ConstantTimeCompare(want[:], have[:])
	}
	return found == 1
}

// ParseThumbprint reads a SHA-256 thumbprint in one of its usual spellings.
func ParseThumbprint(s string) (sum [sha256.Size]byte, err error) {
	digits := s
	if len(s)%3 == 2 && strings.Count(s, ":") == len(s)/3 {
		pairs := strings.Split(s, ":")
		if !slices.ContainsFunc(pairs, func(p string) bool { return len(p) != 2 }) {
			digits = strings.Join(pairs, "")
		}
	}
	var b []byte
	switch len(digits) {
	case hex.EncodedLen(sha256.Size):
		b, err = hex.DecodeString(digits)
	case base64.RawURLEncoding.EncodedLen(sha256.Size):
		// encoding/base64 skips line breaks.
		if strings.ContainsAny(digits, "\r\n") {
			return sum, errors.New("not base64url")
		}
		b, err = base64.RawURLEncoding.Strict().DecodeString(digits)
	case hex.EncodedLen(20):
		return sum, errors.New("this is a SHA-1 thumbprint; SHA-256 is needed (openssl x509 -fingerprint -sha256)")
	default:
		return sum, errors.New("not a SHA-256 thumbprint in base64url or hex")
	}
	if err != nil || len(b) != sha256.Size {
		return sum, errors.New("not a SHA-256 thumbprint in base64url or hex")
	}
	return [sha256.Size]byte(b), nil
}

// Thumbprint is a SHA-256 in base64url, as x5t#S256 has it (RFC 8705, section 3.1).
func Thumbprint(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:]) }

// Hash is the SHA-256 of a certificate's DER form, and of which. A nil Hash is of none.
type Hash struct {
	raw        []byte
	Sum        [sha256.Size]byte
	Thumbprint string
}

// HashOf computes the Hash of these bytes. It keeps a copy of them.
func HashOf(raw []byte) *Hash {
	sum := sha256.Sum256(raw)
	return &Hash{bytes.Clone(raw), sum, Thumbprint(sum)}
}

// Of tells whether the Hash is of these bytes: they are the certificate, whatever its pointer says.
func (h *Hash) Of(raw []byte) bool { return h != nil && bytes.Equal(h.raw, raw) }
