package certname

import (
	"bytes"
	"crypto/x509"
	"hash/maphash"
)

// Names are the subject alternative names of one certificate, read once, for whoever looks for many names in them. The zero
// Names has none.
type Names struct {
	seed maphash.Seed
	all  []hashedName
}

// hashedName finds its equals without a look at the name: a caller can send a thousand that begin like the one wanted.
type hashedName struct {
	form  Form
	value []byte
	sum   uint64 // of the value in lower case
}

// Read reads the subject alternative names of a certificate; none if the extension can't be read.
func Read(c *x509.Certificate) Names {
	n := Names{seed: maphash.MakeSeed()}
	var scratch []byte
	ok := names(c, func(form Form, value []byte) bool {
		switch form {
		case DNS, Mail, URI, IP: // no other form is compared
			scratch = scratch[:0]
			for _, b := range value {
				scratch = append(scratch, lower(b))
			}
			n.all = append(n.all, hashedName{form, value, maphash.Bytes(n.seed, scratch)})
		}
		return true
	})
	if !ok {
		return Names{}
	}
	return n
}

// Has is as the function Has.
func (n Names) Has(form Form, wanted string) bool {
	if len(n.all) == 0 {
		return false
	}
	folded := []byte(wanted)
	for i, b := range folded {
		folded[i] = lower(b)
	}
	sum := maphash.Bytes(n.seed, folded)
	for i := range n.all {
		if have := &n.all[i]; have.sum == sum && have.form == form && same(form, have.value, wanted) {
			return true
		}
	}
	return false
}

// Describe is a certificate's subject for a log, and for one that nobody has only its length.
func Describe(c *x509.Certificate) string { return describe(c.RawSubject) }

// isIssuer tells whether a certificate may be that of another's issuer, by their names.
func isIssuer(issuer, c *x509.Certificate) bool { return bytes.Equal(issuer.RawSubject, c.RawIssuer) }
