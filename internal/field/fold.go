package field

import (
	"strings"
	"unicode/utf8"
)

// Fold makes one of all spellings of a field name that software takes for the same: any case, and any other character for a
// hyphen, as CGI and its heirs know X_Client.Cert as X-Client-Cert.
func Fold(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= utf8.RuneSelf {
			return '-'
		}
		return rune(FoldByte(byte(c))) //nolint:gosec // below 128
	}, name)
}

// FoldByte is Fold for one character.
func FoldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}
