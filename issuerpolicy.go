package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Issuer asks for a token of one of these issuers: its iss, compared to the letter. Any other is refused with 403 and
// ErrForbidden. A sub, a client_id and a scope are unique within one issuer only (RFC 7519, section 4.1.2), so a Guard
// that can have several issuers takes no policy on such names without an Issuer, IssuerFunc or AnyIssuer beside it, in the
// same call:
//
//	guard.Authorize(popauth.Issuer("https://id.acme.example"), popauth.Client("payroll"))
//
// It panics without an issuer, or with an empty one.
func Issuer(issuers ...string) Policy {
	issuers = mustStrings("Issuer", issuers)
	return Policy{issuer: true, allow: func(_ *http.Request, p *Principal) error {
		return ofIssuer(slices.Contains(issuers, p.Issuer))
	}}
}

// IssuerFunc asks for a token of the one issuer that the request is for, such as that of the tenant in its path. If the
// function returns an error, or "", the request is refused with 403 and ErrForbidden; an error is otherwise handled like
// that of ClaimsPolicy. Otherwise it is like Issuer. It panics if the function is nil.
//
// Take the tenant from what the router has matched, such as http.Request.PathValue, and look it up: a prefix of the path is
// another tenant's as soon as the router reads the path otherwise.
func IssuerFunc(issuer func(*http.Request) (string, error)) Policy {
	if issuer == nil {
		panic("popauth: IssuerFunc: nil function")
	}
	return Policy{issuer: true, allow: func(r *http.Request, p *Principal) error {
		iss, err := issuer(r)
		if err != nil {
			return forbidden(err, ErrForbidden)
		}
		if iss == "" {
			return &Error{Reason: ErrForbidden, Err: errNoIssuer}
		}
		return ofIssuer(iss == p.Issuer)
	}}
}

// AnyIssuer allows every request. It says that the policies beside it mean whoever bears the name: the client or the
// scope of every issuer that the Guard accepts, one that was added today too.
func AnyIssuer() Policy {
	return Policy{issuer: true, allow: func(*http.Request, *Principal) error { return nil }}
}

var (
	errIssuer   = errors.New("another issuer")
	errNoIssuer = errors.New("IssuerFunc names no issuer for this request; a path value is there inside of its mux only")
)

func ofIssuer(ok bool) error {
	if ok {
		return nil
	}
	return &Error{Reason: ErrForbidden, Err: errIssuer}
}

// unsaid tells whether the policies compare names and none says whose.
func unsaid(policies []Policy) bool {
	names := slices.ContainsFunc(policies, func(p Policy) bool { return p.names })
	return names && !slices.ContainsFunc(policies, func(p Policy) bool { return p.issuer })
}

var errIssuerUnsaid = errors.New("a policy on names of an issuer, and the Guard's Verifier can have several: " +
	"put popauth.Issuer or IssuerFunc into the same call; AnyIssuer only if it means whoever bears the name")

// issuing is a Verifier that says whose tokens it accepts; of none it says nothing.
type issuing interface{ Issuers() []string }

var _, _ issuing = (*jwtVerifier)(nil), jwtOr{}

// isOfOneIssuer tells whether all that the Verifier accepts comes from one issuer. Those of package issuers don't say: Add and Resolve
// bring others.
func isOfOneIssuer(v Verifier) bool {
	i, ok := v.(issuing)
	return ok && len(i.Issuers()) == 1
}

// limited is somebody else's Verifier, held to the issuers that it says are all.
type limited struct {
	Verifier
	issuers []string
}

// limit returns v, or v held to what it says.
func limit(v Verifier) Verifier {
	switch v.(type) {
	case *jwtVerifier, jwtOr, limited: // these see to it themselves
		return v
	}
	if i, ok := v.(issuing); ok {
		if all := slices.Clone(i.Issuers()); len(all) > 0 {
			return limited{v, all}
		}
	}
	return v
}

// Issuers returns what the Verifier has said when it was given.
func (l limited) Issuers() []string { return l.issuers }

// Verifiers returns the one that decides, so that whoever keeps Verifiers finds what else it can do.
func (l limited) Verifiers() []Verifier { return []Verifier{l.Verifier} }

// Fresh implements CachingVerifier.
func (l limited) Fresh(token string, t *Token) bool { return fresh(l.Verifier, token, t) }

// Verify refuses a token of any other issuer.
func (l limited) Verify(ctx context.Context, token string) (*Token, error) {
	t, err := l.Verifier.Verify(ctx, token)
	if err == nil && t != nil && !slices.Contains(l.issuers, t.issuer) {
		return nil, &Error{Reason: ErrTokenIssuer, Err: fmt.Errorf("the Verifier returned a Token of %.64q, and its Issuers are %q", t.issuer, l.issuers)}
	}
	return t, err
}
