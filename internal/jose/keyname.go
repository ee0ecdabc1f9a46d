package jose

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// How a token names its key, in the order in which it counts.
const (
	ByKeyID  = "kid"
	BySHA256 = "x5t#S256"
	BySHA1   = "x5t"
)

// ThumbprintName returns a thumbprint in its one spelling; "" for what can't be one.
func ThumbprintName(s string) string {
	s = strings.TrimRight(s, "=")
	if len(s) > base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return ""
	}
	return s
}
