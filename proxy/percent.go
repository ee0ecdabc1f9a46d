package proxy

import "strings"

// unpercent decodes %XX once (RFC 3986, section 2.1), hexadecimal digits of either case. What may stand for itself
// is narrower than in a URL: the unreserved characters and the rest of the base64 alphabet, which AWS and Apache
// leave as they are. So a plus sign is a plus sign, a value that was never encoded is refused for its spaces, and
// two values merged into one for the comma between them. What comes out is held to the grammar of PEM.
func unpercent(value string) (string, error) {
	var b strings.Builder
	b.Grow(len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '%' {
			if len(value)-i < 3 || !isHex(value[i+1]) || !isHex(value[i+2]) {
				return "", malformed("bad percent-encoding")
			}
			c = unhex(value[i+1])<<4 | unhex(value[i+2])
			i += 2
		} else if !isLiteral(c) {
			return "", malformed("character that must be percent-encoded")
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

func isLiteral(c byte) bool {
	switch c {
	case '-', '.', '_', '~', '+', '/', '=':
		return true
	}
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
