package dn

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// String returns the name in the form of RFC 4514, which Parse reads as this name: one line, without control characters.
func (n Name) String() string {
	var b strings.Builder
	for i := len(n) - 1; i >= 0; i-- {
		for j, a := range n[i] {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(typeName(a.kind))
			b.WriteByte('=')
			a.write(&b)
		}
		if i > 0 {
			b.WriteByte(',')
		}
	}
	return b.String()
}

func (a attribute) write(b *strings.Builder) {
	if a.isDER {
		b.WriteByte('#')
		b.WriteString(hex.EncodeToString([]byte(a.value)))
		return
	}
	for i, r := range a.value {
		switch {
		case strings.ContainsRune(`",+;<>\`, r), r == '#' && i == 0, r == ' ' && (i == 0 || i == len(a.value)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == ' ' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			for _, c := range utf8.AppendRune(nil, r) {
				b.WriteByte('\\')
				b.WriteString(hex.EncodeToString([]byte{c}))
			}
		}
	}
}
