package clientauth

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-171ab058/popauth/internal/dn"
)

// Credential is what a client's certificate must be. SubjectDN, SANDNS, SANURI, SANIP and SANEmail make one of a name
// (RFC 8705, section 2.1.2), Thumbprint and JWKS one of certificates (section 2.2.2). In text it is the kind and the
// value, as in a configuration file:
//
//	subject_dn=CN=orders-batch,O=Example
//	san_dns=batch.example.com
//	san_uri=spiffe://example.org/orders
//	san_ip=2001:db8::7
//	san_email=batch@example.com
//	thumbprint=2B:0C:…
//	jwks={"keys":[…]}
//
// The zero Credential fits no certificate.
type Credential struct {
	kind, text string
	method     Method
	is         fitter
}

// fitter is a value, so that it can't change while requests are held to it.
type fitter interface {
	fits(*presented) bool
}

// kinds are what a text may start with.
var kinds = []struct {
	name  string
	parse func(string) (Credential, error)
}{
	{"subject_dn", SubjectDN},
	{"san_dns", SANDNS},
	{"san_uri", SANURI},
	{"san_ip", SANIP},
	{"san_email", SANEmail},
	{"thumbprint", Thumbprint},
	{"jwks", func(s string) (Credential, error) { return JWKS([]byte(s)) }},
}

// Method is the method that a client uses with such a credential; "" for the zero Credential.
func (c Credential) Method() Method { return c.method }

// String returns the text form; "" for the zero Credential.
func (c Credential) String() string {
	if c.is == nil {
		return ""
	}
	return c.kind + "=" + c.text
}

// MarshalText returns the text form.
func (c Credential) MarshalText() ([]byte, error) {
	if c.is == nil {
		return nil, errors.New("clientauth: the zero Credential has no text")
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads the text form.
func (c *Credential) UnmarshalText(text []byte) error {
	name, value, _ := strings.Cut(string(text), "=")
	for _, kind := range kinds {
		if kind.name == name {
			own, err := kind.parse(value)
			if err != nil {
				return err
			}
			*c = own
			return nil
		}
	}
	return fmt.Errorf("clientauth: credential %.40q: doesn't start with one of subject_dn=, san_dns=, san_uri=, san_ip=, "+
		"san_email=, thumbprint=, jwks=", text)
}

// SubjectDN is a certificate whose subject is the name given, as RFC 4514 writes it: the last RDN first. This prints
// it:
//
//	openssl x509 -in client.pem -noout -subject -nameopt RFC2253
//
// nginx prints it in $ssl_client_s_dn, Apache in SSL_CLIENT_S_DN, Java by X500Principal's getName and toString; keytool and .NET print
// it, too. Forms with the first RDN first, such as OpenSSL prints unless asked for another, are an error that says what to write.
//
// Names are compared RDN by RDN, all of them, in order; the attributes of one RDN in any order; values by their text,
// whichever string type the certificate has them in. Upper and lower case, and spaces, make a difference: that directories
// don't tell them apart (RFC 4517) doesn't mean that an authority gives names that differ in them to one client only.
func SubjectDN(name string) (Credential, error) {
	parsed, err := dn.Parse(name)
	if err != nil {
		return Credential{}, fmt.Errorf("clientauth: subject_dn: not a name of RFC 4514, such as CN=batch,O=Example: %w", err)
	}
	return Credential{"subject_dn", name, TLSClientAuth, subject(parsed)}, nil
}

type subject dn.Name

func (s subject) fits(p *presented) bool {
	have, err := p.subject()
	return err == nil && dn.Name(s).Equal(have)
}
