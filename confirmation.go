package popauth

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// Confirmer proves that the sender of a request holds the key that one member of cnf names.
//
// Two Confirmers may be for the same member, if their tokens come under different schemes: see SchemeConfirmer.
//
// A Confirmer may have two more methods, which a Guard looks for:
//
//	TakesObjects() bool
//	HoldsFor(c Confirmer, before, after *http.Request) bool
//
// TakesObjects tells that Confirm understands values that are JSON objects, such as that of jwk (RFC 7800, section 3.2). To
// one without it no such value is shown: the token is refused with ErrBindingMalformed.
//
// HoldsFor tells whether what was confirmed for a request holds for the same request with another Host: middleware
// between two stages of the Guard may have changed it. Where it returns false, and where there is no HoldsFor, Confirm is
// called once more. c is the Confirmer that the Guard was given. Return false if it isn't the receiver: a type that has this
// one embedded has its methods too, and may look at more in its own Confirm.
type Confirmer interface {
	// Member is the member of cnf, such as x5t#S256. It is the same at every call.
	Member() string

	// Confirm returns nil if possession is proven. An error should wrap a Reason; one that does not is answered like
	// ErrBindingUnconfirmed, and Unavailable makes one of what couldn't be reached. It must not change the request: stages
	// further in go by what was decided on, and don't check again.
	Confirm(*http.Request, Presentation) error
}

// SchemeConfirmer is a Confirmer whose tokens come under an authentication scheme of their own instead of Bearer. For a
// member whose tokens come under several schemes, give the Guard one for each, and one without a scheme for Bearer.
type SchemeConfirmer interface {
	Confirmer

	// Challenge is the scheme and the parameters that its challenges always carry. They are the same at every call.
	Challenge() (scheme string, params []Param)
}

// objectConfirmer and hostConfirmer are what a Confirmer may be besides: see there.
type (
	objectConfirmer interface{ TakesObjects() bool }
	hostConfirmer   interface {
		HoldsFor(c Confirmer, before, after *http.Request) bool
	}
)

// Presentation is what a request presents, for a Confirmer to check. One that is made by hand, for a Confirmer's own test
// or in front of another Confirmer, has no certificate, and goes by time.Now: see WithCertificate and WithNow.
type Presentation struct {
	Binding Binding // what is to be confirmed
	Token   string  // the access token as it was sent
	Scheme  string  // the authentication scheme that it came under, as its Confirmer spells it

	certificate *Certificate
	now         func() time.Time
	header      *http.Header
}

// Certificate returns the caller's certificate; nil if it has none. Each call returns a copy, which is the caller's own.
func (p Presentation) Certificate() *Certificate { return p.certificate.at(time.Now()).clone() }

// Now returns the time by the Guard's clock. Each call reads it.
func (p Presentation) Now() time.Time {
	if p.now == nil {
		return time.Now()
	}
	return p.now()
}

// WithCertificate returns the Presentation with another certificate; nil is none.
func (p Presentation) WithCertificate(c *Certificate) Presentation {
	p.certificate = c.clone()
	return p
}

// WithNow returns the Presentation with another clock; nil is time.Now.
func (p Presentation) WithNow(now func() time.Time) Presentation {
	p.now = now
	return p
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
func (MutualTLS) Member() string { return memberX5T }

// Confirm returns ErrBindingMalformed, ErrCertificateMissing or ErrCertificateMismatch unless the caller's
// certificate has the thumbprint.
func (MutualTLS) Confirm(_ *http.Request, p Presentation) error {
	want, err := jose.Digest(p.Binding.Value)
	if err != nil {
		return &Error{Reason: ErrBindingMalformed, Err: err}
	}
	if len(p.certificate.raw()) == 0 {
		return ErrCertificateMissing
	}
	got := p.certificate.digest()
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return &Error{Reason: ErrCertificateMismatch, Err: wrongCertificate(p, got)}
	}
	return nil
}

// HoldsFor returns true for itself: the certificate is the connection's, whatever host the request names.
func (m MutualTLS) HoldsFor(c Confirmer, _, _ *http.Request) bool { return c == Confirmer(m) }

// unconfirmed is the refusal of a member that no Confirmer handles.
func unconfirmed(b Binding) error {
	for _, d := range descriptions {
		if b.Member == d.member {
			return &Error{Reason: ErrBindingUnknown,
				Err: fmt.Errorf("%q is known beside %q only, with the value %q; it came with %.64q", d.member, d.of, d.value, b.Value)}
		}
	}
	return &Error{Reason: ErrBindingUnknown, Err: fmt.Errorf("%.64q; Options.Confirmers has none for it", b.Member)}
}

// confirmers are what a Guard has possession proven by. The zero confirmers confirm no binding.
type confirmers struct {
	of        map[string]alternatives // by member of cnf
	required  string                  // the member that every token must have; "" if none
	bound     bool                    // every token must be bound
	announced bool                    // soon
	now       func() time.Time
}

// alternatives are the Confirmers for one member. They differ in their schemes.
type alternatives []confirmation

// confirmation is a Confirmer of a Guard.
type confirmation struct {
	Confirmer
	scheme  string        // its own; "" for those whose tokens come under Bearer
	objects bool          // it takes them
	host    hostConfirmer // nil if nobody knows what it goes by
}

// schemeOf is the scheme of a Confirmer that has one of its own; "" of one whose tokens come under Bearer.
func schemeOf(c Confirmer) string {
	s, ok := c.(SchemeConfirmer)
	if !ok {
		return ""
	}
	scheme, _ := s.Challenge()
	return scheme
}

// newConfirmers returns the Confirmers of a Guard, and their schemes. What they say here counts: one that says something else at
// each call must not take another's place.
func newConfirmers(o Options) (confirmers, []challenge, error) {
	all := confirmers{of: map[string]alternatives{}, bound: o.fapi2 || o.Binding == BindingRequired,
		announced: o.Binding == BindingAnnounced, now: o.Now}
	if o.Resource.DPoPRequired {
		all.required = memberJKT
	}
	var own []challenge
	for _, c := range o.Confirmers {
		way := confirmation{Confirmer: c}
		if s, ok := c.(SchemeConfirmer); ok {
			scheme, params := s.Challenge()
			way.scheme = scheme
			own = append(own, challenge{scheme, params})
		}
		if t, ok := c.(objectConfirmer); ok {
			way.objects = t.TakesObjects()
		}
		way.host, _ = c.(hostConfirmer)
		member := c.Member()
		if slices.ContainsFunc(all.of[member], func(other confirmation) bool { return strings.EqualFold(other.scheme, way.scheme) }) {
			return confirmers{}, nil,
				fmt.Errorf("popauth: Options.Confirmers: %T: its Member or Challenge is not the same at every call", c)
		}
		all.of[member] = append(all.of[member], way)
	}
	return all, own, nil
}

// under returns the way for tokens that come under a scheme: the one whose own it is, else the one without; else any, whose
// scheme doesn't fit then.
func (a alternatives) under(scheme string) *confirmation {
	best := &a[0]
	for i := range a {
		switch a[i].scheme {
		case scheme:
			return &a[i]
		case "":
			best = &a[i]
		}
	}
	return best
}

// confirm proves every binding of a token that came under the scheme, those under a scheme of their own last: such a proof
// may be good for one use, and a request that is refused anyway shall not burn it. Each Confirmer is shown what is
// presented, with its binding.
func (c *confirmers) confirm(r *http.Request, t *Token, scheme string, shown Presentation) error {
	fit := bearer
	for _, b := range t.bindings {
		all := c.of[b.Member]
		if len(all) == 0 {
			return unconfirmed(b)
		}
		way := all.under(scheme)
		if way.scheme != "" {
			fit = way.scheme
		}
		if b.IsObject() && !way.objects {
			return &Error{Reason: ErrBindingMalformed, Err: fmt.Errorf("%.64q: an object, and its Confirmer takes strings", b.Member)}
		}
	}
	// RFC 9449, section 7.2: a bound token under Bearer, and an unbound one under another scheme, is a downgrade.
	if scheme != fit {
		return &Error{Reason: ErrBindingScheme, Err: wrongScheme(t, scheme, fit)}
	}
	shown.Scheme, shown.now = scheme, c.now
	for _, last := range [...]bool{false, true} {
		for _, b := range t.bindings {
			way := c.of[b.Member].under(scheme)
			if (way.scheme != "") != last {
				continue
			}
			p := shown
			p.Binding = b
			if err := way.Confirm(r, p); err != nil {
				return errorOf(err, ErrBindingUnconfirmed)
			}
		}
	}
	if c.required != "" && !t.boundBy(c.required) || c.bound && len(t.bindings) == 0 {
		return &Error{Reason: ErrBindingMissing, Err: unbound(t.bindings, c.required)}
	}
	return nil
}

// holdFor tells whether what a token's bindings were confirmed by holds for the host that now names. Middleware in between
// may have changed that, and a DPoP proof is for one host; of most Confirmers nobody knows.
func (c *confirmers) holdFor(t *Token, scheme string, before, now *http.Request) bool {
	if before.Host == now.Host {
		return true
	}
	return !slices.ContainsFunc(t.bindings, func(b Binding) bool {
		way := c.of[b.Member].under(scheme)
		return way.host == nil || !way.host.HoldsFor(way.Confirmer, before, now)
	})
}
