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

	"github.com/seed-171ab058/popauth/internal/jose"
)

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

// unconfirmed is the refusal of a member that no Confirmer handles.
func unconfirmed(b Binding) error {
	for _, d := range descriptions {
		if b.Member == d.member {
			return &Error{Reason: ErrBindingUnknown, Err: fmt.Errorf("%q is known beside %q only, with the value %q; it came with %.64q", d.member, d.of, d.value, b.Value)}
		}
	}
	return &Error{Reason: ErrBindingUnknown, Err: fmt.Errorf("%.64q; Options.Confirmers has none for it", b.Member)}
}

// confirmers are what a Guard has possession proven by. The zero confirmers confirm no binding.
type confirmers struct {
	of       map[string]confirmation // by member of cnf
	required string                  // the member that every token must have; "" if none
	now      func() time.Time
}

// confirmation is a Confirmer of a Guard.
type confirmation struct {
	Confirmer
	scheme string // its own; "" for those whose tokens come under Bearer
	ours   bool   // it changes nothing that it is shown
	always bool   // it confirms the same at any time

	// holds tells whether what it has confirmed for one request holds for the same with another host; nil if nobody knows.
	holds func(before, now *http.Request) bool
}

// confirm proves every binding of a token that came under the scheme, those under a scheme of their own last: such a proof
// may be good for one use, and a request that is refused anyway shall not burn it. Each Confirmer is shown what is
// presented, with its binding.
func (c *confirmers) confirm(r *http.Request, t *Token, scheme string, shown Presentation) error {
	fit := bearer
	for _, b := range t.bindings {
		own, ok := c.of[b.Member]
		if !ok {
			return unconfirmed(b)
		}
		if own.scheme != "" {
			fit = own.scheme
		}
	}
	// RFC 9449, section 7.2: a bound token under Bearer, and an unbound one under another scheme, is a downgrade.
	if scheme != fit {
		return ErrBindingScheme
	}
	for _, last := range [...]bool{false, true} {
		for _, b := range t.bindings {
			own := c.of[b.Member]
			if (own.scheme != "") != last {
				continue
			}
			p := shown
			p.Binding = b
			if !own.always {
				p.Now = c.now()
			}
			if !own.ours {
				p.Certificate = p.Certificate.at(time.Now()).clone()
			}
			if err := own.Confirm(r, p); err != nil {
				return refused(err, ErrBindingUnconfirmed)
			}
		}
	}
	if c.required != "" && !t.boundBy(c.required) {
		return ErrBindingMissing
	}
	return nil
}

// holdFor tells whether what a token's bindings were confirmed by holds for the host that now names. Middleware in between
// may have changed that, and a DPoP proof is for one host; of somebody else's Confirmer nobody knows.
func (c *confirmers) holdFor(t *Token, before, now *http.Request) bool {
	if before.Host == now.Host {
		return true
	}
	return !slices.ContainsFunc(t.bindings, func(b Binding) bool {
		holds := c.of[b.Member].holds
		return holds == nil || !holds(before, now)
	})
}

// areOurs tells whether none of them is code of the program.
func (c *confirmers) areOurs() bool {
	for _, own := range c.of {
		if !own.ours {
			return false
		}
	}
	return true
}
