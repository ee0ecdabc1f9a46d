package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// attributeValue reads up to the separator, a comma or a plus sign, which it leaves. Spaces before the plus sign are gone.
func attributeValue(s string) (attribute, string, error) {
	switch {
	case strings.HasPrefix(s, "#"):
		return hexValue(s)
	case strings.HasPrefix(s, `"`):
		return quotedValue(s[1:])
	}
	return plainValue(s)
}

// hexValue reads the DER of any value, or a # alone.
func hexValue(s string) (attribute, string, error) {
	end := strings.IndexAny(s, ",+")
	if end < 0 {
		end = len(s)
	}
	rest := s[end:]
	if strings.HasPrefix(rest, "+ ") && s[end-1] == ' ' {
		end--
	}
	if end == 1 { // no hex string; OpenSSL escapes # only if something follows
		return attribute{value: "#"}, rest, nil
	}
	value, err := hex.DecodeString(s[1:end])
	if err != nil {
		return attribute{}, "", errors.New("not hex after #")
	}
	var raw asn1.RawValue
	if rest, err := asn1.Unmarshal(value, &raw); err != nil || len(rest) > 0 {
		return attribute{}, "", errors.New("not one DER value after #")
	}
	return valueOf(raw), rest, nil
}

func plainValue(s string) (attribute, string, error) {
	var b strings.Builder
	spaces := 0 // that stand unescaped at the end
	i := 0
	for ; i < len(s) && s[i] != ',' && s[i] != '+'; i++ {
		c := s[i]
		unescaped := spaces
		spaces = 0
		switch {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(` "#+,;<=>\`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '\\':
			if i+2 >= len(s) {
				return attribute{}, "", errors.New("half an escape")
			}
			octet, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return attribute{}, "", errors.New("a backslash before what needs none")
			}
			b.WriteByte(octet[0])
			i += 2
		case c == 0 || strings.IndexByte(`";<>`, c) >= 0:
			return attribute{}, "", fmt.Errorf("%q has to be escaped", c)
		case c == ' ' && b.Len() == 0:
			return attribute{}, "", errors.New("a space at the start has to be escaped")
		case c == ' ':
			spaces = unescaped + 1
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	value, rest := b.String(), s[i:]
	if spaces > 0 && strings.HasPrefix(rest, "+ ") { // one belongs to the separator
		value, spaces = value[:len(value)-1], spaces-1
	}
	switch {
	case spaces > 0:
		return attribute{}, "", errors.New("a space at the end has to be escaped")
	case !utf8.ValidString(value):
		return attribute{}, "", errors.New("not UTF-8")
	case value == "":
		return attribute{}, "", errors.New("empty")
	}
	return attribute{value: value}, rest, nil
}

// quotedValue reads a value from behind the first quotation mark. Another one within is written as Java and OpenSSL do, with a
// backslash, or as Windows does, twice. Windows leaves a backslash as it is, so one that isn't before a quotation mark or another
// backslash has two readings, as has any beside a doubled mark. Both are refused, though RFC 2253 has the former.
func quotedValue(s string) (attribute, string, error) {
	var b strings.Builder
	doubled, escaped := false, false
	for i := 0; i < len(s); i++ {
		next := byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		switch c := s[i]; {
		case c == '\\' && next != '"' && next != '\\':
			return attribute{}, "", errors.New(`in quotes, a backslash can't stand before anything but \ and "`)
		case c == '\\':
			escaped = true
			b.WriteByte(next)
			i++
		case c == '"' && next == '"':
			doubled = true
			b.WriteByte(next)
			i++
		case c == '"':
			return endQuoted(b.String(), s[i+1:], doubled && escaped)
		case c == 0:
			return attribute{}, "", errors.New("NUL can't be quoted; write \\00")
		default:
			b.WriteByte(c)
		}
	}
	return attribute{}, "", errors.New("a quotation mark without its end")
}

func endQuoted(value, rest string, mixed bool) (attribute, string, error) {
	if strings.HasPrefix(rest, " + ") {
		rest = rest[1:]
	}
	switch {
	case rest != "" && rest[0] != ',' && rest[0] != '+':
		return attribute{}, "", errors.New("something between the closing quotation mark and the separator")
	case mixed:
		return attribute{}, "", errors.New("quotation marks both doubled and with a backslash")
	case value == "":
		return attribute{}, "", errors.New("empty")
	}
	return attribute{value: value}, rest, nil
}
