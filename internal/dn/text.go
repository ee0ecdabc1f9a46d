package dn

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The string types that cryptobyte does not name.
const (
	NumericString   der.Tag = 18
	VisibleString   der.Tag = 26
	UniversalString der.Tag = 28
	BMPString       der.Tag = 30
)

// Text is the text of a value of a string type: the one reading for policies, for registered names and for name
// constraints, so that no name is one thing to the one and another to the other. It is not ok if the value is of such a
// type and has no certain text. All other types are no text.
func Text(tag der.Tag, content []byte) (text string, isText, ok bool) {
	switch tag {
	case der.UTF8String:
		return string(content), true, utf8.Valid(content)
	case der.PrintableString, der.IA5String, NumericString, VisibleString:
		return string(content), true, !slices.ContainsFunc(content, func(c byte) bool { return c >= utf8.RuneSelf })
	case der.T61String: // read as Latin-1, as everybody does
		runes := make([]rune, len(content))
		for i, c := range content {
			runes[i] = rune(c)
		}
		return string(runes), true, true
	case BMPString:
		text, ok = wide(content, 2)
		return text, true, ok
	case UniversalString:
		text, ok = wide(content, 4)
		return text, true, ok
	}
	return "", false, true
}

// wide reads characters of a fixed width.
func wide(content []byte, width int) (string, bool) {
	if len(content)%width != 0 {
		return "", false
	}
	var b strings.Builder
	for unit := range slices.Chunk(content, width) {
		code := uint32(0)
		for _, c := range unit {
			code = code<<8 | uint32(c)
		}
		if code > utf8.MaxRune || utf16.IsSurrogate(rune(code)) {
			return "", false
		}
		b.WriteRune(rune(code))
	}
	return b.String(), true
}
