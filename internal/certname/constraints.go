package certname

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxComparisons bounds the work that one certificate of a chain can make: names times subtrees.
const maxComparisons = 1 << 18

// Check holds every name of a chain, leaf first and root last, against the name constraints of every certificate above
// it, the root's included and whether critical or not (RFC 5280, section 6.1.3 (b), (c)). The names are the whole
// subject, the mail addresses in it, the common names of the leaf that read like host names, and the subject alternative
// names. A constraint or a name that isn't understood refuses: it is never left out.
func Check(chain []*x509.Certificate) error {
	for upper := len(chain) - 1; upper > 0; upper-- {
		value := extension(chain[upper], oidNameConstraints)
		if value == nil {
			continue
		}
		l, err := readLimits(value)
		for lower := 0; err == nil && lower < upper; lower++ {
			c := chain[lower]
			// RFC 5280, section 6.1.3: not those that are self-issued, unless it is the leaf.
			if lower > 0 && bytes.Equal(c.RawSubject, c.RawIssuer) {
				continue
			}
			err = l.hold(c, lower == 0)
		}
		if err != nil {
			return fmt.Errorf("name constraints of %.64q: %w", describe(chain[upper].RawSubject), err)
		}
	}
	return nil
}

// limits are the name constraints of one certificate.
type limits struct{ permitted, excluded []subtree }

type subtree struct {
	form Form
	base []byte
	name directory // of a directory name
	odd  bool      // it has a minimum or maximum, or a base that can't be read
}

var errConstraints = errors.New("they can't be read")

func readLimits(value []byte) (*limits, error) {
	outer := cryptobyte.String(value)
	var both, permitted, excluded cryptobyte.String
	if !outer.ReadASN1(&both, der.SEQUENCE) || !outer.Empty() ||
		!both.ReadOptionalASN1(&permitted, nil, der.Tag(0).ContextSpecific().Constructed()) ||
		!both.ReadOptionalASN1(&excluded, nil, der.Tag(1).ContextSpecific().Constructed()) || !both.Empty() {
		return nil, errConstraints
	}
	var l limits
	var err error
	if l.permitted, err = readSubtrees(permitted); err != nil {
		return nil, err
	}
	l.excluded, err = readSubtrees(excluded)
	return &l, err
}

func readSubtrees(list cryptobyte.String) ([]subtree, error) {
	var all []subtree
	for !list.Empty() {
		var one cryptobyte.String
		if !list.ReadASN1(&one, der.SEQUENCE) {
			return nil, errConstraints
		}
		form, base, ok := general(&one)
		if !ok {
			return nil, errConstraints
		}
		// RFC 5280, section 4.2.1.10: minimum is 0, which DER leaves out, and maximum absent.
		t := subtree{form: form, base: base, odd: !one.Empty()}
		switch form {
		case Directory:
			name, err := readDirectory(base)
			t.name, t.odd = name, t.odd || err != nil
		case DNS, URI:
			t.odd = t.odd || !isDomain(base)
		case Mail:
			t.odd = t.odd || !isDomain(base[bytes.LastIndexByte(base, '@')+1:])
		case IP:
			t.odd = t.odd || len(base) != 8 && len(base) != 32
		}
		all = append(all, t)
	}
	return all, nil
}

// name is one name that a certificate bears.
type name struct {
	form  Form
	value []byte
	dir   directory
	what  string // "subject" and the like, for the log
}

func (n name) String() string {
	value := string(n.value)
	if n.form == Directory {
		value = describe(n.value)
	}
	if n.form == IP {
		value = fmt.Sprintf("%x", n.value)
	}
	return fmt.Sprintf("%s %.96q", n.what, value)
}

func (t subtree) String() string { return name{t.form, t.base, t.name, t.form.String()}.String() }

func (l *limits) hold(c *x509.Certificate, isLeaf bool) error {
	all, err := bears(c, isLeaf)
	if err != nil {
		return err
	}
	if n := len(l.permitted) + len(l.excluded); n > maxComparisons/max(1, len(all)) {
		return fmt.Errorf("%d of them for %d names", n, len(all))
	}
	for _, n := range all {
		if err := l.allow(n); err != nil {
			return err
		}
	}
	return nil
}

const (
	oidCommonName   = "2.5.4.3"
	oidEmailAddress = "1.2.840.113549.1.9.1"
)

// bears returns every name that somebody may take a certificate for.
func bears(c *x509.Certificate, isLeaf bool) ([]name, error) {
	var all []name
	subject, err := readDirectory(c.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if len(subject) > 0 {
		all = append(all, name{Directory, c.RawSubject, subject, "subject"})
	}
	err = subject.all(oidEmailAddress, func(a attribute) error {
		if a.tag != der.IA5String {
			return errors.New("a mail address in the subject is not an IA5String")
		}
		all = append(all, name{form: Mail, value: []byte(a.text), what: "mail address in the subject"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	// OpenSSL leaves the common name out beside a DNS name, which whoever issues the certificate can add.
	if isLeaf {
		err = subject.all(oidCommonName, func(a attribute) error {
			cn := strings.TrimRight(a.text, "\x00")
			if strings.ContainsRune(cn, 0) || !a.isText && a.tag != tagNumericString {
				return errors.New("a common name that can't be read")
			}
			if readsLikeHost(cn) {
				all = append(all, name{form: DNS, value: []byte(cn), what: "common name"})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var wrong error
	readable := names(c, func(form Form, value []byte) bool {
		n := name{form: form, value: value, what: form.String()}
		if form == Directory {
			if n.dir, wrong = readDirectory(value); wrong != nil {
				return false
			}
		}
		all = append(all, n)
		return true
	})
	switch {
	case wrong != nil:
		return nil, fmt.Errorf("directory name: %w", wrong)
	case !readable:
		return nil, errors.New("subject alternative names that can't be read")
	}
	return all, nil
}

func (l *limits) allow(n name) error {
	restricted, permitted := false, false
	var outside subtree
	for _, t := range l.permitted {
		if !t.concerns(n) {
			continue
		}
		in, err := n.in(t)
		if err != nil {
			return err
		}
		permitted = permitted || in
		if !restricted {
			restricted, outside = true, t
		}
	}
	if restricted && !permitted {
		return fmt.Errorf("%v is not permitted, as is %v", n, outside)
	}
	for _, t := range l.excluded {
		if !t.concerns(n) {
			continue
		}
		in, err := n.in(t)
		switch {
		case err != nil:
			return err
		case in:
			return fmt.Errorf("%v is excluded by %v", n, t)
		}
	}
	return nil
}

// concerns tells whether the subtree is about names like n. An otherName has a type of its own, and one of them is a mail
// address (RFC 9598).
func (t subtree) concerns(n name) bool {
	switch {
	case n.form == Other && t.form == Other:
		return otherType(n.value) == otherType(t.base)
	case n.form == Other && t.form == Mail:
		return otherType(n.value) == oidSMTPUTF8Mailbox
	}
	return n.form == t.form
}

const oidSMTPUTF8Mailbox = "1.3.6.1.5.5.7.8.9"

func otherType(content cryptobyte.String) string {
	var oid asn1.ObjectIdentifier
	content.ReadASN1ObjectIdentifier(&oid)
	return oid.String()
}

// in tells whether a name is in a subtree. What can't be compared is an error.
func (n name) in(t subtree) (bool, error) {
	if t.odd {
		return false, fmt.Errorf("%v can't be compared with the %v constraint", n, t.form)
	}
	switch n.form {
	case Directory:
		return n.dir.within(t.name), nil
	case DNS:
		if isHost(n.value, true) {
			return inDomain(string(n.value), string(t.base)), nil
		}
	case Mail:
		if at := bytes.LastIndexByte(n.value, '@'); at > 0 && isHost(n.value[at+1:], false) && bytes.IndexByte(n.value, 0) < 0 {
			return inMailbox(string(n.value[:at]), string(n.value[at+1:]), string(t.base)), nil
		}
	case URI:
		if host, ok := hostOf(n.value); ok {
			return inHost(host, string(t.base)), nil
		}
	case IP:
		if len(n.value) == 4 || len(n.value) == 16 {
			return inNetwork(n.value, t.base), nil
		}
	}
	return false, fmt.Errorf("%v can't be compared with %v", n, t)
}
