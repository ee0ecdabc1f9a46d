// Package dn compares distinguished names: as a person writes them (RFC 4514) and as a certificate has them (X.501).
package dn

import (
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Name is a distinguished name: its RDNs in the order of the certificate, the attributes of each in one fixed order.
type Name [][]attribute

// attribute is a type and its value: text where it is some kind of string, else the value's DER.
type attribute struct {
	kind  string // dotted OID
	value string
	isDER bool
}

// types are the short names that may be written in place of an OID: those of RFC 4514, section 3, and those that
// issuers print besides.
var types = map[string]string{
	"CN": "2.5.4.3", "L": "2.5.4.7", "ST": "2.5.4.8", "O": "2.5.4.10", "OU": "2.5.4.11", "C": "2.5.4.6",
	"STREET": "2.5.4.9", "DC": "0.9.2342.19200300.100.1.25", "UID": "0.9.2342.19200300.100.1.1",
	"SN": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "GN": "2.5.4.42", "GIVENNAME": "2.5.4.42", "TITLE": "2.5.4.12",
	"POSTALCODE": "2.5.4.17", "ORGANIZATIONIDENTIFIER": "2.5.4.97",
	"EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
}

// Equal tells whether the names have the same RDNs in the same order. Within an RDN order means nothing.
func (n Name) Equal(other Name) bool { return slices.EqualFunc(n, other, slices.Equal) }

func (n Name) sort() Name {
	for _, rdn := range n {
		slices.SortFunc(rdn, func(a, b attribute) int {
			if c := strings.Compare(a.kind, b.kind); c != 0 {
				return c
			}
			return strings.Compare(a.value, b.value)
		})
	}
	return n
}

// More than anybody's name has: whoever compares one reads all of it.
const (
	maxLength     = 8 << 10
	maxAttributes = 64
)

// Parse reads a name as RFC 4514 has it: the last RDN first. Spaces after a separator are skipped, as RFC 2253 wrote
// them. The empty name is an error.
func Parse(s string) (Name, error) {
	if len(s) > maxLength || !utf8.ValidString(s) {
		return nil, errors.New("too long, or not UTF-8")
	}
	var n Name
	var rdn []attribute
	count := 0
	for {
		s = strings.TrimLeft(s, " ")
		kind, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errors.New("an attribute without =")
		}
		oid, err := attributeType(kind)
		if err != nil {
			return nil, err
		}
		a, rest, err := attributeValue(rest)
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", kind, err)
		}
		a.kind = oid
		rdn = append(rdn, a)
		if count++; count > maxAttributes {
			return nil, fmt.Errorf("more than %d attributes", maxAttributes)
		}
		if rest == "" || rest[0] == ',' {
			n, rdn = append(n, rdn), nil
		}
		if rest == "" {
			slices.Reverse(n)
			return n.sort(), nil
		}
		s = rest[1:]
	}
}

func attributeType(s string) (string, error) {
	if oid, ok := types[strings.ToUpper(s)]; ok {
		return oid, nil
	}
	// numericoid of RFC 4512, section 1.4
	arcs := strings.Split(s, ".")
	for _, arc := range arcs {
		if arc == "" || strings.Trim(arc, "0123456789") != "" || len(arc) > 1 && arc[0] == '0' {
			return "", fmt.Errorf("unknown attribute type %q; write its OID", s)
		}
	}
	if len(arcs) < 2 {
		return "", fmt.Errorf("unknown attribute type %q; write its OID", s)
	}
	return s, nil
}

// attributeValue reads up to the separator, which it leaves.
func attributeValue(s string) (attribute, string, error) {
	if strings.HasPrefix(s, "#") {
		end := strings.IndexAny(s, ",+")
		if end < 0 {
			end = len(s)
		}
		value, err := hex.DecodeString(s[1:end])
		if err != nil {
			return attribute{}, "", errors.New("not hex after #")
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(value, &raw); err != nil || len(rest) > 0 {
			return attribute{}, "", errors.New("not one DER value after #")
		}
		return valueOf(raw), s[end:], nil
	}
	var b strings.Builder
	last := byte(0) // the last character, if it stands there unescaped
	i := 0
	for ; i < len(s) && s[i] != ',' && s[i] != '+'; i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(` "#+,;<=>\`, s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
			last = 0
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
			last = 0
		case c == 0 || strings.IndexByte(`";<>`, c) >= 0:
			return attribute{}, "", fmt.Errorf("%q has to be escaped", c)
		case c == ' ' && b.Len() == 0:
			return attribute{}, "", errors.New("a space at the start has to be escaped")
		default:
			b.WriteByte(c)
			last = c
		}
	}
	switch {
	case last == ' ':
		return attribute{}, "", errors.New("a space at the end has to be escaped")
	case !utf8.ValidString(b.String()):
		return attribute{}, "", errors.New("not UTF-8")
	case b.Len() == 0:
		return attribute{}, "", errors.New("empty")
	}
	return attribute{value: b.String()}, s[i:], nil
}

// ParseDER reads the name of a certificate. An empty one equals no Name that Parse makes, and one that is longer than Parse
// reads is an error before it is read.
func ParseDER(name []byte) (Name, error) {
	if len(name) > maxLength {
		return nil, fmt.Errorf("a name of %d bytes, want %d at most", len(name), maxLength)
	}
	s := cryptobyte.String(name)
	var rdns cryptobyte.String
	if !s.ReadASN1(&rdns, der.SEQUENCE) || !s.Empty() {
		return nil, errNoName
	}
	n := Name{}
	for count := 0; !rdns.Empty(); {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, der.SET) {
			return nil, errNoName
		}
		if set.Empty() {
			return nil, errors.New("an empty RDN")
		}
		var rdn []attribute
		for !set.Empty() {
			if count++; count > maxAttributes {
				return nil, fmt.Errorf("more than %d attributes", maxAttributes)
			}
			a, ok := readAttribute(&set)
			if !ok {
				return nil, errNoName
			}
			rdn = append(rdn, a)
		}
		n = append(n, rdn)
	}
	return n.sort(), nil
}

var errNoName = errors.New("not a name")

func readAttribute(set *cryptobyte.String) (attribute, bool) {
	var pair, value cryptobyte.String
	var kind asn1.ObjectIdentifier
	var tag der.Tag
	if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&kind) || !pair.ReadAnyASN1Element(&value, &tag) || !pair.Empty() {
		return attribute{}, false
	}
	content := value
	if !content.ReadAnyASN1(&content, &tag) {
		return attribute{}, false
	}
	a := valueOf(asn1.RawValue{Class: int(tag >> 6), IsCompound: tag&0x20 != 0, Tag: int(tag & 0x1f), Bytes: content, FullBytes: value})
	a.kind = kind.String()
	return a, true
}

// valueOf is the text of a string type, and the DER of all else.
func valueOf(v asn1.RawValue) attribute {
	if v.Class == asn1.ClassUniversal && !v.IsCompound && v.Tag < 31 {
		if text, isText, ok := Text(der.Tag(v.Tag), v.Bytes); isText && ok { //nolint:gosec // below 31
			return attribute{value: text}
		}
	}
	return attribute{value: string(v.FullBytes), isDER: true}
}
