// Package dn compares distinguished names: as a person writes them (RFC 4514) and as a certificate has them (X.501).
package dn

import (
	"encoding/asn1"
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

// Parse reads a name as RFC 4514 has it: the last RDN first. Read as well is what RFC 2253 asks for in section 4, and what
// Java and Windows print: spaces after a separator, a plus sign between two spaces, quoted values, and OIDs after "OID.".
//
// The order of the RDNs is never guessed: a name in the order of the certificate is a name of somebody else. So a form that tools
// print in that order only is an error, which says how the name would be written here. The empty name is an error.
func Parse(s string) (Name, error) {
	n, err := parse(s, false)
	if err != nil {
		return nil, explain(s, err)
	}
	return n, nil
}

// parse reads the name, which may have a space on either side of an equals sign if spaced.
func parse(s string, spaced bool) (Name, error) {
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
		if spaced {
			kind, rest = strings.TrimSuffix(kind, " "), strings.TrimPrefix(rest, " ")
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
	if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&kind) || !pair.ReadAnyASN1Element(&value, &tag) ||
		!pair.Empty() {
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
