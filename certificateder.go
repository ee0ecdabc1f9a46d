package popauth

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// NewCertificate makes a Certificate for a CertificateSource of your own, from the DER forms of the caller's own
// certificate and of the further ones that were sent along. Nobody has verified it yet.
//
// One that crypto/x509 can't parse, such as one with a negative serial number, is a certificate all the same: OpenSSL and
// many a proxy accept it in a handshake, and a token may be bound to it. It has no Leaf, so it is never an identity. An
// intermediate of that kind is left out. What isn't even a SEQUENCE with the three parts of a certificate and nothing
// behind it is refused with ErrCertificateMalformed, and one of more than 16 KiB with ErrCertificateTooLarge.
func NewCertificate(source Source, leaf []byte, intermediates ...[]byte) (*Certificate, error) {
	c := &Certificate{Source: source}
	own, err := wholeDER(leaf)
	if err != nil {
		return nil, err
	}
	if c.Leaf, err = x509.ParseCertificate(own); err != nil {
		c.der, c.cause = own, err
	}
	for _, raw := range intermediates {
		own, err := wholeDER(raw)
		if err != nil {
			return nil, err
		}
		if i, err := x509.ParseCertificate(own); err == nil {
			c.Intermediates = append(c.Intermediates, i)
		}
	}
	c.hash()
	return c, nil
}

// wholeDER returns a copy of what is one certificate, as far as can be told without reading what it says.
func wholeDER(b []byte) ([]byte, error) {
	if e := tooLarge(b); e != nil {
		return nil, e
	}
	outer := cryptobyte.String(b)
	var parts cryptobyte.String
	if !outer.ReadASN1(&parts, der.SEQUENCE) || !outer.Empty() || !parts.SkipASN1(der.SEQUENCE) ||
		!parts.SkipASN1(der.SEQUENCE) || !parts.SkipASN1(der.BIT_STRING) || !parts.Empty() {
		return nil, &Error{Reason: ErrCertificateMalformed, Err: errors.New("not the DER form of one X.509 certificate, and nothing else")}
	}
	return bytes.Clone(b), nil
}

// tooLarge refuses what nobody needs: of a larger certificate no name is read, nor is it hashed.
func tooLarge(leaf []byte) *Error {
	if len(leaf) <= certname.MaxCertificate {
		return nil
	}
	return &Error{Reason: ErrCertificateTooLarge, Err: fmt.Errorf("%d bytes, want %d at most", len(leaf), certname.MaxCertificate)}
}

// DER returns the DER form of the caller's own certificate as it was received, which is there without Leaf, too.
func (c *Certificate) DER() []byte { return bytes.Clone(c.raw()) }

// raw is Leaf's if there is one: a source of somebody else's may have put another there.
func (c *Certificate) raw() []byte {
	switch {
	case c == nil:
		return nil
	case c.Leaf != nil:
		return c.Leaf.Raw
	}
	return c.der
}

// unparsed says why there is no Leaf.
func (c *Certificate) unparsed() error {
	if c.cause == nil {
		return errNoContent
	}
	return fmt.Errorf("certificate that Go can't parse: %w; it confirms what a token is bound to, and has no names: "+
		"for an identity the authority has to issue it anew", c.cause)
}

var errNoContent = errors.New("a source's certificate without content: it needs a Leaf with Raw, or NewCertificate")

// complete refuses what no request can be judged by.
func (c *Certificate) complete() error {
	if len(c.raw()) == 0 || slices.Contains(c.Intermediates, nil) || slices.Contains(c.Chain, nil) {
		return &Error{Reason: ErrCertificateMalformed, Err: errNoContent}
	}
	if e := tooLarge(c.raw()); e != nil {
		return e
	}
	return nil
}
