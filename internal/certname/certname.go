// Package certname reads and compares the names in a certificate: one reading for everything that takes an identity from
// it. It also checks these names against the name constraints of a chain (RFC 5280, section 4.2.1.10), of which
// crypto/x509 leaves out directory names.
package certname

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Form is the kind of a GeneralName, by its tag (RFC 5280, section 4.2.1.6).
type Form int

// The forms that are read here.
const (
	Other     Form = 0
	Mail      Form = 1
	DNS       Form = 2
	Directory Form = 4
	URI       Form = 6
	IP        Form = 7
)

// String is what a person calls the form.
func (f Form) String() string {
	switch f {
	case Mail:
		return "mail address"
	case DNS:
		return "DNS name"
	case Directory:
		return "directory name"
	case URI:
		return "URI"
	case IP:
		return "IP address"
	}
	return "name of another form"
}

var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
)

// extension returns the value of an extension; nil if there is none. crypto/x509 refuses a certificate with two.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// MaxCertificate is the most bytes of one certificate that anything is read of.
const MaxCertificate = 16 << 10

// maxNames is more alternative names than anybody has: whoever asks about one walks through all of them.
const maxNames = 1024

// names calls f with each subject alternative name as it stands in the certificate, until f returns false. crypto/x509
// gives URIs parsed: two of them may read alike afterwards. It returns false if the extension can't be read.
func names(c *x509.Certificate, f func(Form, []byte) bool) bool {
	value := extension(c, oidSubjectAltName)
	if value == nil {
		return true
	}
	outer := cryptobyte.String(value)
	var list cryptobyte.String
	if !outer.ReadASN1(&list, der.SEQUENCE) || !outer.Empty() {
		return false
	}
	for n := 0; !list.Empty(); n++ {
		form, content, ok := general(&list)
		if !ok || n == maxNames {
			return false
		}
		if !f(form, content) {
			return true
		}
	}
	return true
}

const (
	classMask, contextSpecific = 0xc0, 0x80
	constructed                = 0x20
)

// general reads one GeneralName. One whose tag does not fit its form is of no form that anything is compared with.
func general(s *cryptobyte.String) (Form, []byte, bool) {
	var content cryptobyte.String
	var tag der.Tag
	if !s.ReadAnyASN1(&content, &tag) || tag&classMask != contextSpecific {
		return 0, nil, false
	}
	form := Form(tag &^ (classMask | constructed))
	isConstructed := tag&constructed != 0
	switch form {
	case Mail, DNS, URI, IP:
		if isConstructed {
			return 0, nil, false
		}
	case Directory:
		// Name is a CHOICE, so the tag is explicit: the content is the whole DER of the name.
		if !isConstructed {
			return 0, nil, false
		}
	}
	return form, content, true
}

// Has tells whether a certificate has one of the names among its subject alternative names. DNS names, and mail addresses
// after the @, are compared without regard to the case of ASCII letters, all others to the letter. An IP address is its bytes.
func Has(c *x509.Certificate, form Form, wanted ...string) bool {
	found := false
	ok := names(c, func(have Form, value []byte) bool {
		for _, name := range wanted {
			found = found || have == form && same(form, value, name)
		}
		return true // to the end: what can't be read there makes all of it unreadable
	})
	return ok && found
}

func same(form Form, have []byte, name string) bool {
	switch form {
	case DNS:
		return equalFold(have, name)
	case Mail:
		at := strings.LastIndexByte(name, '@') + 1
		return at > 0 && len(have) == len(name) && string(have[:at]) == name[:at] && equalFold(have[at:], name[at:])
	}
	return string(have) == name
}

// equalFold folds ASCII alone: to strings.EqualFold the Kelvin sign is a k.
func equalFold[A, B ~string | ~[]byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// SameHost compares two host names as DNS does, without the dot at the end that makes one absolute.
func SameHost(a, b string) bool {
	return equalFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// URIs returns the URIs among the subject alternative names; false if the extension can't be read, though crypto/x509 may
// have read a part of it.
func URIs(c *x509.Certificate) (all []string, ok bool) {
	ok = names(c, func(form Form, value []byte) bool {
		if form == URI {
			all = append(all, string(value))
		}
		return true
	})
	if !ok {
		return nil, false
	}
	return all, true
}
