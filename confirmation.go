package popauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Binding is one member of a token's cnf claim (RFC 7800, section 3): the name of a way to prove possession, and the
// key's value in it, such as x5t#S256 and a thumbprint.
type Binding struct{ Member, Value string }

// Confirmer proves that the sender of a request holds the key that one member of cnf names.
type Confirmer interface {
	// Member is the member of cnf, such as x5t#S256. It is the same at every call.
	Member() string

	// Confirm returns nil if possession is proven. An error should wrap a Reason; one that does not is answered like
	// ErrBindingUnconfirmed.
	Confirm(*http.Request, Presentation) error
}

// SchemeConfirmer is a Confirmer whose tokens come under an authentication scheme of their own instead of Bearer.
type SchemeConfirmer interface {
	Confirmer

	// Challenge is the scheme and the parameters that its challenges always carry. They are the same at every call.
	Challenge() (scheme string, params []Param)
}

// Presentation is what a request presents, for a Confirmer to look at.
type Presentation struct {
	Binding     Binding      // what is to be confirmed
	Token       string       // the access token as it was sent
	Certificate *Certificate // the caller's; nil if it has none
	Now         time.Time

	header *http.Header
	hash   tokenHash
}

// tokenHash is the SHA-256 of a token, if it was needed before.
type tokenHash struct {
	token string // "" if not
	sum   [sha256.Size]byte
}

// of returns the hash of a token, which it computes once.
func (h *tokenHash) of(token string) [sha256.Size]byte {
	if token == "" || token != h.token {
		space := make([]byte, 0, 1024) // on the stack, unless the token is longer than most
		*h = tokenHash{token, sha256.Sum256(append(space, token...))}
	}
	return h.sum
}

// tokenHash is the SHA-256 of Token, which a Confirmer may have set.
func (p Presentation) tokenHash() [sha256.Size]byte {
	return p.hash.of(p.Token)
}

// SetHeader puts a header on the answer to the request, be it a refusal or the handler's response: a nonce, for one.
func (p Presentation) SetHeader(name, value string) {
	if p.header == nil {
		return
	}
	if *p.header == nil {
		*p.header = http.Header{}
	}
	p.header.Set(name, value)
}

// MutualTLS confirms x5t#S256: the caller's certificate is the one that the token is bound to (RFC 8705, section 3).
// Neither the chain nor the period of the certificate matters for that: the handshake has proven that the caller
// holds its key (section 6.2).
type MutualTLS struct{}

var _ Confirmer = MutualTLS{}

// Member returns "x5t#S256".
func (MutualTLS) Member() string { return "x5t#S256" }

// Confirm returns ErrBindingMalformed, ErrCertificateMissing or ErrCertificateMismatch unless the caller's
// certificate has the thumbprint.
func (MutualTLS) Confirm(_ *http.Request, p Presentation) error {
	want, err := digestOf(p.Binding.Value)
	if err != nil {
		return &Error{Reason: ErrBindingMalformed, Err: err}
	}
	if len(p.Certificate.raw()) == 0 {
		return ErrCertificateMissing
	}
	got := p.Certificate.digest()
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return ErrCertificateMismatch
	}
	return nil
}

var errDigest = errors.New("not 32 bytes in base64url without padding")

// digest decodes a SHA-256 value. Strict alone would let line breaks pass and each value have more than one spelling.
func digest(s string) ([]byte, error) {
	sum, err := digestOf(s)
	if err != nil {
		return nil, err
	}
	return sum[:], nil
}

func digestOf(s string) (sum [sha256.Size]byte, err error) {
	if len(s) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		return sum, errDigest
	}
	if n, err := jose.Base64.Decode(sum[:], []byte(s)); err != nil || n != sha256.Size {
		return [sha256.Size]byte{}, errDigest
	}
	return sum, nil
}

// readConfirmation reads a cnf claim. RFC 7800, section 3.1, lets a reader ignore members that it does not know; here
// they are kept, so that what nobody confirms is refused.
func readConfirmation(text string, at int, cnf []byte) ([]Binding, error) {
	var list []Binding
	err := strictjson.MembersAt(cnf, nil, func(member string, v jsontext.Value, inner int) error {
		value, err := strictjson.StringAt(text, at+inner, v)
		if err != nil || value == "" {
			return fmt.Errorf("%.64q: %w", member, strictjson.ErrType)
		}
		list = append(list, Binding{member, value})
		return nil
	})
	if err == nil && len(list) == 0 {
		err = errors.New("no member")
	}
	if err != nil {
		return nil, &Error{Reason: ErrBindingMalformed, Err: err}
	}
	return withoutDescriptions(list), nil
}

// description is a member of cnf that is no way to prove possession: it describes the key that another member names.
type description struct{ member, of, value string }

// descriptions are the ones in use. What isn't here, or has another value, is a member like any other, which needs a
// Confirmer.
var descriptions = []description{
	// Keycloak since 26.7 says what kind of thumbprint its jkt is. Its other value, Client-Attestation, stands for a key
	// that no DPoP proof shows.
	{member: "kc-jkt-type", of: "jkt", value: "DPoP"},
}

// withoutDescriptions leaves out the members that describe a key beside them. One without its key stays, and is refused:
// a token must not be bound by what nobody has to prove.
func withoutDescriptions(list []Binding) []Binding {
	if len(list) == 1 {
		return list
	}
	return slices.DeleteFunc(list, func(b Binding) bool {
		return slices.ContainsFunc(descriptions, func(d description) bool {
			return b == Binding{d.member, d.value} && slices.ContainsFunc(list, func(key Binding) bool { return key.Member == d.of })
		})
	})
}

// unconfirmed is the refusal of a member that no Confirmer handles.
func unconfirmed(b Binding) error {
	for _, d := range descriptions {
		if b.Member == d.member {
			return &Error{Reason: ErrBindingUnknown, Err: fmt.Errorf("%q is known beside %q only, with the value %q; it came with %.64q", d.member, d.of, d.value, b.Value)}
		}
	}
	return &Error{Reason: ErrBindingUnknown, Err: fmt.Errorf("%.64q; Options.Confirmers has none for it", b.Member)}
}

// confirmation is a Confirmer of a Guard.
type confirmation struct {
	Confirmer
	scheme string // its own; "" for those whose tokens come under Bearer
	ours   bool   // it changes nothing that it is shown
	always bool   // it confirms the same at any time
}

// confirm proves every binding of the token, those under a scheme of their own last: such a proof may be good for one
// use, and a request that is refused anyway shall not burn it.
func (g *Guard) confirm(r *http.Request, d *decision, sent *credentials) error {
	scheme := bearer
	for _, b := range d.token.bindings {
		c, ok := g.confirmers[b.Member]
		if !ok {
			return unconfirmed(b)
		}
		if c.scheme != "" {
			scheme = c.scheme
		}
	}
	// RFC 9449, section 7.2: a bound token under Bearer, and an unbound one under another scheme, is a downgrade.
	if d.scheme() != scheme {
		return ErrBindingScheme
	}
	for _, last := range [...]bool{false, true} {
		for _, b := range d.token.bindings {
			c := g.confirmers[b.Member]
			if (c.scheme != "") != last {
				continue
			}
			p := Presentation{Binding: b, Token: sent.token, Certificate: d.certificate, header: &d.header, hash: sent.hash}
			if !c.always {
				p.Now = g.options.Now()
			}
			if !c.ours {
				p.Certificate = d.certificate.at(time.Now()).clone()
			}
			if err := c.Confirm(r, p); err != nil {
				return refused(err, ErrBindingUnconfirmed)
			}
		}
	}
	return nil
}
