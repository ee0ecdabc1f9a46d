package certname

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// limits are the name constraints of one certificate.
type limits struct{ permitted, excluded []subtree }

type subtree struct {
	form Form
	base []byte
	name directory // of a directory name
	kind string    // of an otherName
	odd  bool      // it has a minimum or maximum, or a base that can't be read
}

var errConstraints = errors.New("they can't be read")

func (w *work) readLimits(value []byte) (*limits, error) {
	outer := cryptobyte.String(value)
	var both, permitted, excluded cryptobyte.String
	if !outer.ReadASN1(&both, der.SEQUENCE) || !outer.Empty() ||
		!both.ReadOptionalASN1(&permitted, nil, der.Tag(0).ContextSpecific().Constructed()) ||
		!both.ReadOptionalASN1(&excluded, nil, der.Tag(1).ContextSpecific().Constructed()) || !both.Empty() {
		return nil, errConstraints
	}
	var l limits
	var err error
	if l.permitted, err = w.readSubtrees(permitted); err != nil {
		return nil, err
	}
	l.excluded, err = w.readSubtrees(excluded)
	return &l, err
}

func (w *work) readSubtrees(list cryptobyte.String) ([]subtree, error) {
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
		if err := w.spend(costOfName, len(base)); err != nil {
			return nil, err
		}
		// RFC 5280, section 4.2.1.10: minimum is 0, which DER leaves out, and maximum absent.
		t := subtree{form: form, base: base, odd: !one.Empty()}
		switch form {
		case Directory:
			name, err := w.readDirectory(base)
			if errors.Is(err, errWork) {
				return nil, err
			}
			t.name, t.odd = name, t.odd || err != nil
		case Other:
			t.kind = otherType(base)
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
	kind  string // of an otherName
	host  string // of a mail address or URI
	sure  bool   // everybody reads it alike
}

// read fills in what a comparison needs, so that it is found out once.
func (n name) read() name {
	switch n.form {
	case Directory:
		n.sure = true // readDirectory has seen to it
	case DNS:
		n.sure = isHost(n.value, true)
	case Mail:
		at := bytes.LastIndexByte(n.value, '@')
		n.sure = at > 0 && isHost(n.value[at+1:], false) && bytes.IndexByte(n.value, 0) < 0
		n.host = string(n.value[at+1:])
	case URI:
		n.host, n.sure = hostOf(n.value)
	case IP:
		// Some readers take a 4-in-6 address for the IPv4 address in it, others don't.
		n.sure = len(n.value) == 4 || len(n.value) == 16 && !netip.AddrFrom16([16]byte(n.value)).Is4In6()
	case Other:
		n.kind = otherType(n.value)
	}
	return n
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

func (t subtree) String() string {
	return name{form: t.form, value: t.base, what: t.form.String()}.String()
}

// hold holds names against the limits.
func (w *work) hold(l *limits, all []name) error {
	for _, n := range all {
		if err := w.allow(l, n); err != nil {
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
func (w *work) bears(c *x509.Certificate, isLeaf bool) ([]name, error) {
	var all []name
	add := func(n name) error {
		all = append(all, n.read())
		return w.spend(costOfName, len(n.value))
	}
	if err := w.spend(costOfName, len(c.RawSubject)); err != nil {
		return nil, err
	}
	subject, err := w.readDirectory(c.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if len(subject) > 0 {
		err = add(name{form: Directory, value: c.RawSubject, dir: subject, what: "subject"})
	}
	if err != nil {
		return nil, err
	}
	err = subject.all(oidEmailAddress, func(a attribute) error {
		if a.tag != der.IA5String {
			return errors.New("a mail address in the subject is not an IA5String")
		}
		return add(name{form: Mail, value: []byte(a.text), what: "mail address in the subject"})
	})
	if err != nil {
		return nil, err
	}
	// OpenSSL leaves the common name out beside a DNS name, which whoever issues the certificate can add.
	if isLeaf {
		err = subject.all(oidCommonName, func(a attribute) error {
			cn := strings.TrimRight(a.text, "\x00")
			if strings.ContainsRune(cn, 0) || !a.isText {
				return errors.New("a common name that can't be read")
			}
			if readsLikeHost(cn) {
				return add(name{form: DNS, value: []byte(cn), what: "common name"})
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
			n.dir, wrong = w.readDirectory(value)
		}
		if wrong == nil {
			wrong = add(n)
		}
		return wrong == nil
	})
	switch {
	case wrong != nil:
		return nil, fmt.Errorf("alternative names: %w", wrong)
	case !readable:
		return nil, errors.New("subject alternative names that can't be read")
	}
	return all, nil
}

func (w *work) allow(l *limits, n name) error {
	restricted, permitted := false, false
	var outside subtree
	for _, t := range l.permitted {
		if !t.concerns(n) {
			continue
		}
		in, err := w.in(n, t)
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
		in, err := w.in(n, t)
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
		return n.kind == t.kind
	case n.form == Other && t.form == Mail:
		return n.kind == oidSMTPUTF8Mailbox
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
func (w *work) in(n name, t subtree) (bool, error) {
	if err := w.spend(1+len(t.name), len(t.base)); err != nil {
		return false, err
	}
	if t.odd {
		return false, fmt.Errorf("%v can't be compared with the %v constraint", n, t.form)
	}
	if n.sure {
		switch n.form {
		case Directory:
			if in, ok := n.dir.within(t.name); ok {
				return in, nil
			}
		case DNS:
			return inDomain(n.value, t.base), nil
		case Mail:
			return inMailbox(n.value[:len(n.value)-len(n.host)-1], n.host, t.base), nil
		case URI:
			return inHost(n.host, t.base), nil
		case IP:
			return inNetwork(n.value, t.base), nil
		}
	}
	return false, fmt.Errorf("%v can't be compared with %v", n, t)
}
