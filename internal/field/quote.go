package field

import "strings"

// Quote writes a quoted-string (RFC 9110, section 5.6.4) within the narrower set of RFC 6750, section 3: what is not
// printable ASCII, a quote or a backslash becomes an apostrophe, so there is nothing to escape.
func Quote(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s) + `"`
}

// IsVisible tells whether s can stand between quotes as it is.
func IsVisible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}
