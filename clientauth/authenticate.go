package clientauth

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/certname"
)

// Client is a client that has been authenticated by its certificate.
type Client struct {
	ID          string
	Method      Method
	Certificate *popauth.Certificate // without Leaf if it is one that Go can't parse

	// Registration is the one that the certificate fits. When it expires says when the client has to be registered anew.
	Registration Registration
}

// Confirmation is what binds a token to the client's certificate; zero for a Client that has none, which Authenticate
// never returns.
func (c *Client) Confirmation() Confirmation {
	if c == nil {
		return Confirmation{}
	}
	return confirmationDER(c.Certificate.DER())
}

// Authenticate returns the client that a request comes from: it has come through Handler to a certificate endpoint, it
// names a client_id in its form or under Basic, it brings no other credentials, and its certificate fits one of that
// client's registrations. Anything else is an *Error; see WriteError.
//
// An error that is ErrOtherMethod may leave the request to the server's other methods: it came to an ordinary
// endpoint, or, with Options.AlwaysBind, brings other credentials or a client_id that has no registrations here. Those
// methods must hold a client to the one that it is registered for.
//
// The form is parsed, up to 64 KiB, and stays in r.PostForm.
func (a *Authenticator) Authenticate(r *http.Request) (*Client, error) {
	c, refusal := a.authenticate(r)
	refusal = endOf(r, refusal)
	if refusal != nil {
		a.ofConnection(r, refusal)
		refusal.challenge = challengeFor(r.Header)
		return nil, refusal
	}
	return c, nil
}

func (a *Authenticator) authenticate(r *http.Request) (*Client, *Error) {
	if a.unconfigured() {
		return nil, &Error{Reason: ErrUnconfigured}
	}
	x := a.arrived(r)
	if x == nil {
		return nil, &Error{Reason: ErrOtherMethod, Err: errors.New("not a certificate endpoint, or Handler was left out")}
	}
	who, refusal := readClaim(r)
	switch {
	case refusal != nil:
		return nil, refusal
	case who.other && a.options.AlwaysBind:
		return nil, &Error{Reason: ErrOtherMethod, Err: errors.New("the request brings other credentials")}
	case who.other:
		// RFC 6749, section 2.3. The client is not looked up: whether it is known must not show.
		return nil, &Error{Reason: ErrTwoMethods}
	case who.clientID == "":
		// RFC 8705, section 2: it is required.
		return nil, malformed("no client_id")
	case !plausible(who.clientID):
		return nil, &Error{Reason: ErrClientUnknown}
	}
	registrations, err := a.options.Clients.Registrations(r.Context(), who.clientID)
	switch {
	case err != nil:
		return nil, &Error{Reason: ErrUnavailable, Err: err}
	case len(registrations) == 0 && a.options.AlwaysBind:
		return nil, &Error{Reason: ErrOtherMethod, Err: fmt.Errorf("client %q has no registrations", who.clientID)}
	case len(registrations) == 0:
		return nil, &Error{Reason: ErrClientUnknown, Err: fmt.Errorf("client %q", who.clientID)}
	}
	found, refusal := a.find(x, registrations)
	if refusal != nil {
		refusal.Err = fmt.Errorf("client %q, certificate %s: %w", who.clientID, x.presented, refusal.Err)
		return nil, refusal
	}
	return &Client{who.clientID, found.Credential.Method(), x.certificate, found}, nil
}

// ofConnection answers a failure on a connection that was made for another host as that, whatever it was, and ends a
// connection whose certificate is out of its period: neither tells a stranger who is registered. The reason stays if the
// server's other methods may take over: they need no name, and a binding no host. Roots are the Authenticator's own, and
// need no connection for a host.
func (a *Authenticator) ofConnection(r *http.Request, refusal *Error) {
	if a.unconfigured() || refusal.answer() != failed {
		return
	}
	x := a.arrived(r)
	if x == nil {
		return
	}
	if own := r.TLS; own != nil && len(own.PeerCertificates) > 0 && own.PeerCertificates[0] == x.certificate.Leaf {
		refusal.closes = inPeriod(x.certificate, a.options.Now()) != nil
	}
	err := x.certificate.CheckIdentity()
	if a.options.Roots != nil || !errors.Is(err, popauth.ErrMisdirected) {
		return
	}
	refusal.misdirected = true
	refusal.Err = fmt.Errorf("%w: %w", err, errors.Join(refusal.Reason, refusal.Err))
	if refusal.Reason != ErrOtherMethod {
		refusal.Reason = ErrMisdirected
	}
}

// find returns the first registration that counts and fits. A name is only taken from a certificate that is trusted.
func (a *Authenticator) find(x *arrival, registrations []Registration) (Registration, *Error) {
	now := a.options.Now()
	if err := inPeriod(x.certificate, now); err != nil {
		return Registration{}, &Error{Reason: ErrCertificateUntrusted, Err: err}
	}
	trusted := sync.OnceValue(func() error { return a.trusted(x.certificate, now) })
	refusal := &Error{Reason: ErrCertificateMismatch, Err: errors.New("no registration fits")}
	for _, reg := range registrations {
		method := reg.Credential.Method() // of the zero Credential none, which is never among Methods
		if !reg.Expires.IsZero() && !now.Before(reg.Expires) || !slices.Contains(a.options.Methods, method) {
			continue
		}
		if !reg.Credential.is.fits(x.presented) {
			continue
		}
		if method != TLSClientAuth {
			return reg, nil
		}
		err := trusted()
		if err == nil {
			return reg, nil
		}
		refusal = &Error{Reason: ErrCertificateUntrusted, Err: err}
	}
	if n, err := x.subject(); refusal.Reason == ErrCertificateMismatch && err == nil && len(n) > 0 {
		refusal.Err = fmt.Errorf("no registration fits; the subject is %s", n)
	}
	return Registration{}, refusal
}

// inPeriod reads the period itself if crypto/x509 can't parse the certificate.
func inPeriod(c *popauth.Certificate, now time.Time) error {
	var from, until time.Time
	if c.Leaf != nil {
		from, until = c.Leaf.NotBefore, c.Leaf.NotAfter
	} else {
		var err error
		if from, until, err = certname.Period(c.DER()); err != nil {
			return err
		}
	}
	if now.Before(from) || now.After(until) {
		return fmt.Errorf("outside its period, %s to %s", from.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339))
	}
	return nil
}

// trusted tells whether somebody vouches for the name in a certificate (RFC 8705, section 2.1).
func (a *Authenticator) trusted(c *popauth.Certificate, now time.Time) error {
	if c.Leaf == nil {
		return c.CheckIdentity()
	}
	// In a pool of roots, or on a list, its key is accepted; still its name is nobody's word but its own.
	if bytes.Equal(c.Leaf.RawIssuer, c.Leaf.RawSubject) {
		return errors.New("it is its own issuer; register its thumbprint")
	}
	if a.ways == nil {
		if err := c.CheckIdentity(); err != nil {
			return fmt.Errorf("there are no Roots: %w", err)
		}
		if len(c.Chain) == 1 {
			return errOneOfTheRoots
		}
		return nil
	}
	paths, err := a.ways.Verify(a.options.Roots, c.Leaf, c.Intermediates, now)
	switch {
	case err != nil:
		return &popauth.Error{Reason: popauth.ErrCertificateUntrusted, Err: err}
	case len(paths[0].Certificates) == 1:
		return errOneOfTheRoots
	}
	return nil
}

var errOneOfTheRoots = errors.New("it is one of the roots itself; register its thumbprint")

// Confirmation is the cnf that binds a token to the client's certificate, however the client was authenticated. Without
// Options.AlwaysBind, and on ordinary endpoints, it is zero: the token is unbound.
func (a *Authenticator) Confirmation(r *http.Request) Confirmation {
	if a.unconfigured() || !a.options.AlwaysBind {
		return Confirmation{}
	}
	x := a.arrived(r)
	if x == nil {
		return Confirmation{}
	}
	return Confirmation{Thumbprint: x.thumbprint()}
}
