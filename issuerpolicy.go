package popauth

import (
	"errors"
	"net/http"
	"slices"
)

// Issuer asks for a token of one of these issuers: its iss, compared to the letter. Any other is refused with 403 and
// ErrForbidden. A sub, a client_id and a scope are unique within one issuer only (RFC 7519, section 4.1.2), so a Guard
// that can have several issuers takes no policy on such names without an Issuer, IssuerFunc or AnyIssuer beside it:
//
//	guard.Authorize(popauth.Issuer("https://id.acme.example"), popauth.Client("payroll"))
//
// It panics without an issuer, or with an empty one.
func Issuer(issuers ...string) Policy {
	issuers = mustStrings("Issuer", issuers)
	return Policy{issuer: true, allow: func(_ *http.Request, p *Principal) error {
		return forbidUnless(slices.Contains(issuers, p.Issuer), "issuer")
	}}
}

// IssuerFunc asks for a token of the one issuer that the request is for, such as that of the tenant in its path. If the
// function returns an error, or "", the request is refused with 403 and ErrForbidden; an error is otherwise handled like
// that of ClaimsPolicy. Otherwise it is like Issuer. It panics if the function is nil.
func IssuerFunc(issuer func(*http.Request) (string, error)) Policy {
	if issuer == nil {
		panic("popauth: IssuerFunc: nil function")
	}
	return Policy{issuer: true, allow: func(r *http.Request, p *Principal) error {
		iss, err := issuer(r)
		if err != nil {
			return forbidden(err, ErrForbidden)
		}
		return forbidUnless(iss != "" && iss == p.Issuer, "issuer")
	}}
}

// AnyIssuer allows every request. It says that the policies beside it mean whoever bears the name: the client or the
// scope of every issuer that the Guard accepts, one that was added today too.
func AnyIssuer() Policy {
	return Policy{issuer: true, allow: func(*http.Request, *Principal) error { return nil }}
}

// unsaid tells whether the policies compare names and none says whose.
func unsaid(policies []Policy) bool {
	names := slices.ContainsFunc(policies, func(p Policy) bool { return p.names })
	return names && !slices.ContainsFunc(policies, func(p Policy) bool { return p.issuer })
}

var errIssuerUnsaid = errors.New("a policy on names of an issuer, and the Guard's Verifier can have several: " +
	"put popauth.Issuer, IssuerFunc or AnyIssuer beside it")

// isOfOneIssuer tells whether all that the Verifier accepts comes from one issuer. Of somebody else's Verifier nobody
// knows that, unless it says so.
func isOfOneIssuer(v Verifier) bool {
	switch v := v.(type) {
	case *Issuers: // Add and Resolve bring others
		return false
	case jwtOr:
		return isOfOneIssuer(v.jwt) && isOfOneIssuer(v.opaque) && len(v.Issuers()) == 1
	case issuing:
		return len(v.Issuers()) == 1
	}
	return false
}

// saidIssuers returns the issuers that somebody else's Verifier says are all of its own; nil if it says none, and for
// Verifiers of this package, which see to that themselves.
func saidIssuers(v Verifier) []string {
	switch v := v.(type) {
	case *jwtVerifier, *Introspection, *Issuers, jwtOr:
		return nil
	case issuing:
		return v.Issuers()
	}
	return nil
}
