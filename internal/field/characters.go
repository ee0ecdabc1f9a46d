// Package field knows the grammar of header fields: what a token is (RFC 9110, section 5.6.2), a token68 and a quoted-string,
// and which fields have a meaning of their own on the way of a request.
package field

import "strings"

// IsToken68 tells whether s fits RFC 9110, section 11.2, which RFC 6750 calls b64token.
func IsToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && consists(body, inToken68)
}

// IsToken tells whether s is a token of RFC 9110, section 5.6.2.
func IsToken(s string) bool { return s != "" && consists(s, inToken) }

// IsMethod tells whether s is a token without lower-case letters, as all methods in use are.
func IsMethod(s string) bool { return s != "" && consists(s, inMethod) }

// characters has a bit for each byte that is among them.
type characters uint8

const (
	inToken68 characters = 1 << iota
	inToken
	inMethod // of inToken, but for lower case
)

// consists is asked about each character of each access token: a table without a branch is several times as fast as a
// look through a list, and eight at a time are faster again.
func consists(s string, of characters) bool {
	all := of
	for ; len(s) >= 8; s = s[8:] {
		all &= classes[s[0]] & classes[s[1]] & classes[s[2]] & classes[s[3]] &
			classes[s[4]] & classes[s[5]] & classes[s[6]] & classes[s[7]]
	}
	for i := range len(s) {
		all &= classes[s[i]]
	}
	return all != 0
}

var classes = func() (all [256]characters) {
	const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for _, c := range []byte(alphanumeric + "-._~+/") {
		all[c] |= inToken68
	}
	for _, c := range []byte(alphanumeric + "!#$%&'*+-.^_`|~") {
		all[c] |= inToken
		if c < 'a' || c > 'z' {
			all[c] |= inMethod
		}
	}
	return all
}()
