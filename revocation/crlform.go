package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	// maxHead is how long a CRL may be without its entries: it is read before it is known who has signed it.
	maxHead = 64 << 10

	// maxPoints of a certificate, and of the issuing distribution point of a list, are held against one another.
	maxPoints = 16
)

// crlForm is a CRL taken apart. Its entries are left as they are: as values they take many times the memory, and nobody
// may have signed them.
type crlForm struct {
	head    *x509.RevocationList // all but the entries
	signed  []byte
	entries cryptobyte.String
}

func parseForm(der []byte) (*crlForm, error) {
	malformed := errors.New("not a CRL: not a certificateList in DER")
	input, all, tbs := cryptobyte.String(der), cryptobyte.String(nil), cryptobyte.String(nil)
	if !input.ReadASN1(&all, tag.SEQUENCE) {
		return nil, malformed
	}
	if !input.Empty() {
		return nil, errors.New("a CRL with something behind it")
	}
	var f crlForm
	if !all.ReadASN1Element((*cryptobyte.String)(&f.signed), tag.SEQUENCE) {
		return nil, malformed
	}
	signed := cryptobyte.String(f.signed)
	if !signed.ReadASN1(&tbs, tag.SEQUENCE) {
		return nil, malformed
	}
	body := tbs
	if !tbs.SkipOptionalASN1(tag.INTEGER) || !tbs.SkipASN1(tag.SEQUENCE) || !tbs.SkipASN1(tag.SEQUENCE) || !skipTime(&tbs) {
		return nil, malformed
	}
	if isTime(tbs) && !skipTime(&tbs) {
		return nil, malformed
	}
	before := body[:len(body)-len(tbs)]
	if tbs.PeekASN1Tag(tag.SEQUENCE) && !tbs.ReadASN1(&f.entries, tag.SEQUENCE) {
		return nil, malformed
	}
	if n := len(before) + len(tbs) + len(all); n > maxHead {
		return nil, fmt.Errorf("a CRL with %d bytes beside its entries, at most %d are read", n, maxHead)
	}
	// crypto/x509 reads what is left as a CRL without entries.
	var b cryptobyte.Builder
	b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(before)
			b.AddBytes(tbs)
		})
		b.AddBytes(all)
	})
	bare, err := b.Bytes()
	if err != nil {
		return nil, malformed
	}
	if f.head, err = x509.ParseRevocationList(bare); err != nil {
		return nil, fmt.Errorf("not a CRL: %w", err)
	}
	return &f, nil
}

func isTime(s cryptobyte.String) bool {
	return s.PeekASN1Tag(tag.UTCTime) || s.PeekASN1Tag(tag.GeneralizedTime)
}

func skipTime(s *cryptobyte.String) bool {
	return s.PeekASN1Tag(tag.UTCTime) && s.SkipASN1(tag.UTCTime) || s.SkipASN1(tag.GeneralizedTime)
}

var errEntry = errors.New("a CRL with a malformed entry")

// Extensions of an entry (RFC 5280, section 5.3).
var (
	oidReason            = []byte{0x55, 0x1d, 21}
	oidCertificateIssuer = []byte{0x55, 0x1d, 29}
)

// eachEntry calls f with each serial number, as big.Int.Bytes has it, and whether the certificate is only on hold. The
// number is f's only until it returns.
func eachEntry(entries cryptobyte.String, f func(number []byte, hold bool)) error {
	for !entries.Empty() {
		var entry, number, extensions cryptobyte.String
		if !entries.ReadASN1(&entry, tag.SEQUENCE) || !entry.ReadASN1(&number, tag.INTEGER) || !skipTime(&entry) {
			return errEntry
		}
		magnitude, err := readMagnitude(number)
		if err != nil {
			return err
		}
		hold := false
		if !entry.Empty() {
			if !entry.ReadASN1(&extensions, tag.SEQUENCE) || !entry.Empty() {
				return errEntry
			}
			if hold, err = readReason(extensions); err != nil {
				return err
			}
		}
		f(magnitude, hold)
	}
	return nil
}

// readMagnitude: whatever a negative number was meant for, a certificate's is compared without its sign.
func readMagnitude(content []byte) ([]byte, error) {
	switch {
	case len(content) == 0, len(content) > 1 && (content[0] == 0 && content[1] < 0x80 || content[0] == 0xff && content[1] >= 0x80):
		return nil, errEntry
	case content[0] == 0:
		return content[1:], nil
	case content[0] < 0x80:
		return content, nil
	}
	out := bytes.Clone(content) // two's complement
	carry := true
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = ^out[i]
		if carry {
			out[i]++
			carry = out[i] == 0
		}
	}
	return bytes.TrimLeft(out, "\x00"), nil
}

func readReason(extensions cryptobyte.String) (hold bool, err error) {
	reasons := 0
	for !extensions.Empty() {
		var one, id, value cryptobyte.String
		var critical bool
		if !extensions.ReadASN1(&one, tag.SEQUENCE) || !one.ReadASN1(&id, tag.OBJECT_IDENTIFIER) ||
			one.PeekASN1Tag(tag.BOOLEAN) && !one.ReadASN1Boolean(&critical) || !one.ReadASN1(&value, tag.OCTET_STRING) || !one.Empty() {
			return false, errEntry
		}
		switch {
		case critical || bytes.Equal(id, oidCertificateIssuer):
			return false, errors.New("an indirect CRL, or an entry with a critical extension")
		case bytes.Equal(id, oidReason):
			var reason int
			if reasons++; reasons > 1 || !value.ReadASN1Enum(&reason) || !value.Empty() {
				return false, errEntry
			}
			hold = reason == certificateHold
		}
	}
	return hold, nil
}

// parseScope reads the issuing distribution point.
func parseScope(der []byte) (scope, error) {
	malformed := errors.New("a CRL with a malformed issuing distribution point")
	var s struct {
		Point       asn1.RawValue  `asn1:"optional,tag:0"`
		Users       bool           `asn1:"optional,tag:1"`
		Authorities bool           `asn1:"optional,tag:2"`
		SomeReasons asn1.BitString `asn1:"optional,tag:3"`
		Indirect    bool           `asn1:"optional,tag:4"`
		Attributes  bool           `asn1:"optional,tag:5"`
	}
	rest, err := asn1.Unmarshal(der, &s)
	switch {
	case err != nil || len(rest) > 0:
		return scope{}, malformed
	case s.Indirect || s.Attributes || s.SomeReasons.BitLength > 0:
		return scope{}, errors.New("a CRL that is indirect, of attribute certificates, or of some reasons only")
	}
	out := scope{users: s.Users, authorities: s.Authorities}
	if s.Point.FullBytes == nil {
		return out, nil
	}
	var names cryptobyte.String
	full, relative := tag.Tag(0).ContextSpecific().Constructed(), tag.Tag(1).ContextSpecific().Constructed()
	point := cryptobyte.String(s.Point.Bytes)
	switch {
	case point.PeekASN1Tag(relative):
		return scope{}, errors.New("a CRL with a relative distribution point")
	case !point.ReadASN1(&names, full) || !point.Empty():
		return scope{}, malformed
	}
	for n := 0; !names.Empty(); n++ {
		var name cryptobyte.String
		var kind tag.Tag
		switch {
		case !names.ReadAnyASN1(&name, &kind):
			return scope{}, malformed
		case n == maxPoints:
			return scope{}, fmt.Errorf("a CRL whose distribution point has more than %d names", maxPoints)
		case kind == tag.Tag(6).ContextSpecific():
			out.points = append(out.points, string(name))
		}
	}
	if out.points == nil {
		return scope{}, errors.New("a CRL whose distribution point is no URL")
	}
	return out, nil
}
