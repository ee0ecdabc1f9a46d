package jose

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

var errDigest = errors.New("not 32 bytes in base64url without padding")

// Digest decodes a SHA-256 value. Strict base64 alone would let line breaks pass and each value have more than one spelling.
func Digest(s string) (sum [sha256.Size]byte, err error) {
	if len(s) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return sum, errDigest
	}
	if n, err := Base64.Decode(sum[:], []byte(s)); err != nil || n != sha256.Size {
		return [sha256.Size]byte{}, errDigest
	}
	return sum, nil
}
