package clientauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
	"github.com/seed-171ab058/popauth/internal/dn"
)

// presented is a certificate that a request came with. Each part of it is read once, when somebody first asks, however
// many registrations it is held against: the certificate, and whose registrations these are, is what the sender says.
type presented struct {
	certificate *popauth.Certificate
	sum         [sha256.Size]byte
	subject     func() (dn.Name, error)
	names       func() certname.Names
}

func newPresented(c *popauth.Certificate) (*presented, *Error) {
	raw := c.DER()
	switch {
	case len(raw) == 0 || slices.Contains(c.Intermediates, nil) || slices.Contains(c.Chain, nil):
		return nil, &Error{Reason: ErrCertificateMalformed, Err: errors.New("a source's certificate without content")}
	case len(raw) > certname.MaxCertificate:
		return nil, &Error{Reason: ErrCertificateTooLarge, Err: fmt.Errorf("%d bytes, want %d at most", len(raw), certname.MaxCertificate)}
	}
	own, leaf := *c, c.Leaf
	p := &presented{certificate: &own, sum: sha256.Sum256(raw)}
	own.Thumbprint = p.thumbprint() // whatever a source has put there
	p.subject = sync.OnceValues(func() (dn.Name, error) {
		if leaf == nil {
			return nil, errors.New("a certificate that Go can't parse has no names")
		}
		return dn.ParseDER(leaf.RawSubject)
	})
	p.names = sync.OnceValue(func() certname.Names {
		if leaf == nil {
			return certname.Names{}
		}
		return certname.Read(leaf)
	})
	return p, nil
}

func (p *presented) thumbprint() string { return base64.RawURLEncoding.EncodeToString(p.sum[:]) }

// String is the certificate for the log.
func (p *presented) String() string {
	if p.certificate.Leaf == nil {
		return p.thumbprint()
	}
	return fmt.Sprintf("%s of %.128q", p.thumbprint(), certname.Describe(p.certificate.Leaf))
}
