package jose

import (
	"encoding/base64"
	"errors"
	"strings"
)

var errBase64 = errors.New("not base64url without padding")

// Base64 alone would skip line breaks, so that a token had more than one spelling.
var Base64 = base64.RawURLEncoding.Strict()

// AppendDecode decodes base64url without padding.
func AppendDecode(b []byte, segment string) ([]byte, error) {
	b, err := Base64.AppendDecode(b, []byte(segment))
	if err != nil || strings.IndexByte(segment, '\r') >= 0 || strings.IndexByte(segment, '\n') >= 0 {
		return nil, errBase64
	}
	return b, nil
}
