package popauth

import "strings"

// Param is one parameter of a challenge, such as algs of DPoP.
type Param struct{ Name, Value string }

// quote writes a quoted-string (RFC 9110, section 5.6.4) within the narrower set of RFC 6750, section 3: what is not
// printable ASCII, a quote or a backslash becomes an apostrophe, so there is nothing to escape.
func quote(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '\''
		}
		return r
	}, s) + `"`
}

// isVisible tells whether s can stand between quotes as it is.
func isVisible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}
