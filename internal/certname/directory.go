package certname

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// directory is a distinguished name for comparison, an RDN each. A constraint is a prefix of the names in its subtree.
type directory [][]attribute

// attribute is an attribute as RFC 5280, section 7.1, compares it: strings in one encoding, without regard to case and
// to further spaces; what is no string to the letter.
type attribute struct {
	oid, value string
	tag        der.Tag
	isText     bool
	text       string // as it stands in the certificate, if isText
}

var errName = errors.New("not a distinguished name that can be compared")

// readDirectory reads the DER of a Name. A string that has no certain text makes it an error: such a name must neither
// slip into a permitted subtree nor past an excluded one.
func readDirectory(raw []byte) (directory, error) {
	outer := cryptobyte.String(raw)
	var rdns cryptobyte.String
	if !outer.ReadASN1(&rdns, der.SEQUENCE) || !outer.Empty() {
		return nil, errName
	}
	var d directory
	for !rdns.Empty() {
		var set cryptobyte.String
		if !rdns.ReadASN1(&set, der.SET) || set.Empty() {
			return nil, errName
		}
		var rdn []attribute
		for !set.Empty() {
			a, err := readAttribute(&set)
			if err != nil {
				return nil, err
			}
			rdn = append(rdn, a)
		}
		// Within an RDN order means nothing.
		slices.SortFunc(rdn, func(a, b attribute) int {
			if c := strings.Compare(a.oid, b.oid); c != 0 {
				return c
			}
			return strings.Compare(a.value, b.value)
		})
		d = append(d, rdn)
	}
	return d, nil
}

func readAttribute(set *cryptobyte.String) (attribute, error) {
	var pair, whole, content cryptobyte.String
	var oid asn1.ObjectIdentifier
	var tag der.Tag
	if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
		!pair.ReadAnyASN1Element(&whole, &tag) || !pair.Empty() || !whole.ReadAnyASN1(&content, &tag) {
		return attribute{}, errName
	}
	a := attribute{oid: oid.String(), tag: tag}
	text, isText, err := textOf(tag, content)
	switch {
	case err != nil:
		return attribute{}, err
	case isText:
		a.isText, a.text, a.value = true, text, canonical(text)
	default:
		a.value = "\xff" + string([]byte{byte(tag)}) + string(content) // which is no text
	}
	return a, nil
}

// The string types that encoding/asn1 does not name.
const (
	tagNumericString   der.Tag = 18
	tagVisibleString   der.Tag = 26
	tagUniversalString der.Tag = 28
	tagBMPString       der.Tag = 30
)

// textOf decodes the string types that OpenSSL compares by their text. NumericString and all others it compares to the
// letter.
func textOf(tag der.Tag, content []byte) (text string, isText bool, err error) {
	switch tag {
	case der.UTF8String, der.PrintableString, der.IA5String, tagVisibleString:
		if tag == der.UTF8String && !utf8.Valid(content) || tag != der.UTF8String && !isASCII(content) {
			return "", true, errName
		}
		return string(content), true, nil
	case der.T61String: // read as Latin-1, as everybody does
		runes := make([]rune, len(content))
		for i, c := range content {
			runes[i] = rune(c)
		}
		return string(runes), true, nil
	case tagBMPString, tagUniversalString:
		width := map[der.Tag]int{tagBMPString: 2, tagUniversalString: 4}[tag]
		if len(content)%width != 0 {
			return "", true, errName
		}
		var b strings.Builder
		for unit := range slices.Chunk(content, width) {
			code := uint32(0)
			for _, c := range unit {
				code = code<<8 | uint32(c)
			}
			if code > utf8.MaxRune || utf16.IsSurrogate(rune(code)) {
				return "", true, errName
			}
			b.WriteRune(rune(code))
		}
		return b.String(), true, nil
	}
	return "", false, nil
}

func isASCII(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= utf8.RuneSelf })
}

// canonical folds ASCII letters, and trims and joins spaces, as OpenSSL does. Letters beyond ASCII differ by case.
func canonical(s string) string {
	isSpace := func(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.Join(strings.FieldsFunc(s, isSpace), " "))
}

// within tells whether the name is in the subtree of base (RFC 5280, section 7.1).
func (d directory) within(base directory) bool {
	return len(d) >= len(base) && slices.EqualFunc(d[:len(base)], base, func(a, b []attribute) bool {
		return slices.EqualFunc(a, b, func(x, y attribute) bool { return x.oid == y.oid && x.value == y.value })
	})
}

// all calls f with each attribute of a type.
func (d directory) all(oid string, f func(attribute) error) error {
	for _, rdn := range d {
		for _, a := range rdn {
			if a.oid == oid {
				if err := f(a); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// describe writes a name for a person.
func describe(raw []byte) string {
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return "unreadable"
	}
	return rdns.String()
}
