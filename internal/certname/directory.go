package certname

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/seed-171ab058/popauth/internal/dn"
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
func (w *work) readDirectory(raw []byte) (directory, error) {
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
			a, err := w.readAttribute(&set)
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

func (w *work) readAttribute(set *cryptobyte.String) (attribute, error) {
	var pair, whole, content cryptobyte.String
	var oid asn1.ObjectIdentifier
	var tag der.Tag
	if !set.ReadASN1(&pair, der.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
		!pair.ReadAnyASN1Element(&whole, &tag) || !pair.Empty() || !whole.ReadAnyASN1(&content, &tag) {
		return attribute{}, errName
	}
	if err := w.spend(costOfAttribute, 8*len(content)); err != nil {
		return attribute{}, err
	}
	a := attribute{oid: oid.String(), tag: tag}
	text, isText, ok := dn.Text(tag, content)
	switch {
	case !ok:
		return attribute{}, errName
	case isText:
		a.isText, a.text, a.value = true, text, canonical(text)
	default:
		a.value = "\xff" + string([]byte{byte(tag)}) + string(content) // which is no text
	}
	return a, nil
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

// within tells whether the name is in the subtree of base (RFC 5280, section 7.1). It is not ok if that depends on whether
// a NumericString is compared by its text, as policies and crypto/x509 read it, or to the letter, as OpenSSL does.
func (d directory) within(base directory) (in, ok bool) {
	ok = true
	in = len(d) >= len(base) && slices.EqualFunc(d[:len(base)], base, func(a, b []attribute) bool {
		return slices.EqualFunc(a, b, func(x, y attribute) bool {
			if x.oid != y.oid || x.value != y.value {
				return false
			}
			isNumeric := x.tag == dn.NumericString
			ok = ok && isNumeric == (y.tag == dn.NumericString) && !(isNumeric && x.text != y.text)
			return true
		})
	})
	return in, ok || !in
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

// describe writes a name for a person; not one so long that writing it were work.
func describe(raw []byte) string {
	if len(raw) > 1<<10 {
		return fmt.Sprintf("a name of %d bytes", len(raw))
	}
	var rdns pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return "unreadable"
	}
	return rdns.String()
}
