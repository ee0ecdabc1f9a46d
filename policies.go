package popauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// AnyOf asks for at least one of these policies. If none allows the request, the refusal is that of the first that could
// not tell, with a status of 500 and above; else of the first that is about the token's own issuer; else of the first.
// It panics without a policy, or with the zero Policy.
func AnyOf(policies ...Policy) Policy {
	policies = mustPolicies("AnyOf", policies)
	all := func(is func(Policy) bool) bool {
		return !slices.ContainsFunc(policies, func(p Policy) bool { return !is(p) })
	}
	first := policies[0]
	return Policy{
		scopes: first.scopes, acr: first.acr, maxAge: first.maxAge, either: policies,
		names:  slices.ContainsFunc(policies, func(p Policy) bool { return p.names }),
		issuer: all(func(p Policy) bool { return p.issuer }),
		allow: func(r *http.Request, p *Principal) error {
			var all []error
			for _, policy := range policies {
				err := policy.check(r, p)
				if err == nil {
					return nil
				}
				all = append(all, err)
			}
			e, i := foremost(all)
			e.branch = &policies[i]
			return e
		},
	}
}

// AllOf asks for every one of these policies, for a branch of AnyOf: the names of one issuer, or those of another. The
// refusal is that of the first that refuses. It panics without a policy, or with the zero Policy.
func AllOf(policies ...Policy) Policy {
	policies = mustPolicies("AllOf", policies)
	has := func(is func(Policy) bool) bool { return slices.ContainsFunc(policies, is) }
	whole := Policy{
		scopes: scopesOf(policies), acr: acrOf(policies), maxAge: maxAgeOf(policies),
		names:  unsaid(policies),
		issuer: has(func(p Policy) bool { return p.issuer }),
		allow: func(r *http.Request, p *Principal) error {
			for _, policy := range policies {
				if err := policy.check(r, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for _, p := range policies {
		whole.types = append(whole.types, p.types...)
		whole.either = append(whole.either, p.either...)
	}
	return whole
}

func mustPolicies(policy string, policies []Policy) []Policy {
	if len(policies) == 0 || slices.ContainsFunc(policies, func(p Policy) bool { return p.allow == nil }) {
		panic("popauth: " + policy + ": no policy, or the zero Policy")
	}
	return slices.Clone(policies)
}

// foremost returns the refusal that all of these together come to, and which it is: "can't tell" is not "no", and another
// issuer's branch says nothing about what would do.
func foremost(all []error) (*Error, int) {
	which := slices.IndexFunc(all, func(err error) bool { return errorOf(err, ErrForbidden).Status() >= http.StatusInternalServerError })
	if which < 0 {
		which = slices.IndexFunc(all, func(err error) bool { return !isOtherIssuer(err) })
	}
	which = max(which, 0)
	e := errorOf(all[which], ErrForbidden)
	e.Err = errors.Join(all...)
	return e, which
}

// pursued returns the policies with the branch that a refusal is about in the place of its AnyOf.
func pursued(policies []Policy, branch any) []Policy {
	for i := range policies {
		for j := range policies[i].either {
			if p := &policies[i].either[j]; p == branch {
				policies = slices.Clone(policies)
				policies[i] = *p
				return policies
			}
		}
	}
	return policies
}

// authorizer asks policies about what one Guard has decided.
type authorizer struct {
	several  bool // issuers can be behind the Verifier
	clock    clock
	schemes  *schemes
	observer *observer
}

// allow asks the policies of a stage, if there are any, and has that observed.
func (a *authorizer) allow(r *http.Request, d *decision, stage Stage, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	observed := a.observer.begin(r.Context(), stage)
	err := a.ask(r, d, policies)
	observed(d, err)
	return err
}

// ask shows the policies one view of the token, which none of them changes. Where the token alone decides, none is made.
func (a *authorizer) ask(r *http.Request, d *decision, policies []Policy) *Error {
	if len(policies) == 0 {
		return nil
	}
	if a.several && unsaid(policies) { // of Check and Recheck: Authorize panics
		return &Error{Reason: ErrIssuerUnsaid, Err: errIssuerUnsaid, who: d.token.who(), header: d.header}
	}
	var view *Principal
	defer func() {
		if view != nil {
			*view = Principal{} // a pool would keep its token and certificate alive
			views.Put(view)
		}
	}()
	for _, policy := range policies {
		var err error
		if policy.token != nil {
			err = policy.token(d.token)
		} else {
			if view == nil {
				view = a.view(d)
			}
			err = policy.check(r, view)
		}
		if err != nil {
			return a.refuse(r, d, policies, err)
		}
	}
	return nil
}

// refuse returns the refusal of one of the policies, with the challenge that says what all of them ask for.
func (a *authorizer) refuse(r *http.Request, d *decision, policies []Policy, err error) *Error {
	e := endOf(r.Context(), errorOf(err, ErrForbidden))
	e.who, e.used, e.header = d.token.who(), a.schemes.name(d.under), d.header
	e.needed = neededFor(e.Reason, pursued(policies, e.branch))
	e.challenges = a.schemes.challenges(e)
	return e
}

// views are Principals for policies to read, and nobody keeps them.
var views = sync.Pool{New: func() any { return new(Principal) }}

// view returns a Principal out of views.
func (a *authorizer) view(d *decision) *Principal {
	view, _ := views.Get().(*Principal)
	*view = d.token.view(d.certificate)
	view.clock = a.clock
	return view
}

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
		return ofIssuer(p.Issuer, issuers...)
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
		if p.Issuer != iss {
			return wrongTenant(p.Issuer, mismatch.Text(iss)) // it may be made of the request
		}
		return nil
	}}
}

// AnyIssuer allows every request. It says that the policies beside it mean whoever bears the name: the client or the
// scope of every issuer that the Guard accepts, one that was added today too.
func AnyIssuer() Policy {
	return Policy{issuer: true, allow: func(*http.Request, *Principal) error { return nil }}
}

var errNoIssuer = errors.New("IssuerFunc names no issuer for this request; a path value is there inside of its mux only")

// otherIssuer is the cause of the refusal by a policy on the issuer.
type otherIssuer struct{ *Mismatch }

// Unwrap returns what was compared.
func (e otherIssuer) Unwrap() error { return e.Mismatch }

func ofIssuer(iss string, allowed ...string) error {
	if slices.Contains(allowed, iss) {
		return nil
	}
	return wrongTenant(iss, mismatch.Any(allowed))
}

func wrongTenant(iss, want string) error {
	return &Error{Reason: ErrForbidden, Err: otherIssuer{&Mismatch{What: "issuer", Got: mismatch.Text(iss), Want: want}}}
}

func isOtherIssuer(err error) bool {
	_, ok := errors.AsType[otherIssuer](err)
	return ok
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
		return nil, &Error{Reason: ErrTokenIssuer,
			Err: fmt.Errorf("the Verifier returned a Token of %.64q, and its Issuers are %q", t.issuer, l.issuers)}
	}
	return t, err
}
