package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/field"
	"github.com/seed-171ab058/popauth/internal/mismatch"
)

// Policy is a condition on who a request comes from. The functions of this package make one; the zero Policy allows
// nothing. Each policy sees what the token says, whatever stands beside it: none can change what the next one sees.
type Policy struct {
	allow  func(*http.Request, *Principal) error // reads the Principal, which is shared, and keeps nothing of it
	token  func(*Token) error                    // the same, where the token alone decides; nil elsewhere
	scopes []string                              // that the policy asks for
	acr    []string                              // one of which would do
	maxAge time.Duration
	types  []string // of authorization details
	either []Policy // of AnyOf
	names  bool     // it compares a name that means something at one issuer only
	issuer bool     // it says whose names those of the policies beside it are
}

// check returns nil if p may pass.
func (p Policy) check(r *http.Request, who *Principal) error {
	if p.allow == nil {
		return ErrForbidden
	}
	return p.allow(r, who)
}

// neededFor returns the parameters of a challenge by which a client learns all that the policies ask for, not only what it
// lacks: a token that was obtained for the rest alone would be refused again.
func neededFor(reason Reason, policies []Policy) []Param {
	switch reason {
	case ErrScope, ErrAuthorizationDetails:
		return []Param{{"scope", strings.Join(scopesOf(policies), " ")}}
	case ErrStepUp: // RFC 9470, section 3
		maxAge := ""
		if d := maxAgeOf(policies); d > 0 {
			maxAge = strconv.FormatInt(int64(d/time.Second), 10)
		}
		return []Param{{"acr_values", strings.Join(acrOf(policies), " ")}, {"max_age", maxAge},
			{"scope", strings.Join(scopesOf(policies), " ")}}
	}
	return nil
}

// scopesOf returns the scopes that all of the policies ask for together.
func scopesOf(policies []Policy) []string {
	var all []string
	for _, p := range policies {
		for _, s := range p.scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// Scope asks for every one of these scopes. A token without is refused with 403 and ErrScope. It panics without a
// scope, or with one that RFC 6749, section 3.3, does not allow.
//
// A scope means what its issuer says it means. Where a Guard can have several issuers, Scope needs an Issuer policy or
// AnyIssuer beside it; so do AnyScope, Client, Subject, ACR, AuthorizationDetails and ClaimsPolicy.
func Scope(scopes ...string) Policy {
	scopes = mustScopes("Scope", scopes)
	return scopePolicy(scopes, func(has []string) error {
		for _, s := range scopes {
			if !slices.Contains(has, s) {
				return &Error{Reason: ErrScope, Err: lacking(has, mismatch.All(scopes))}
			}
		}
		return nil
	})
}

// AnyScope asks for at least one of these scopes; otherwise it is like Scope. The challenge lists them all.
func AnyScope(scopes ...string) Policy {
	scopes = mustScopes("AnyScope", scopes)
	return scopePolicy(scopes, func(has []string) error {
		if !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(has, s) }) {
			return &Error{Reason: ErrScope, Err: lacking(has, mismatch.Any(scopes))}
		}
		return nil
	})
}

func scopePolicy(scopes []string, allow func(has []string) error) Policy {
	return Policy{
		scopes: scopes, names: true,
		allow: func(_ *http.Request, p *Principal) error { return allow(p.Scopes) },
		token: func(t *Token) error { return allow(t.scopes) },
	}
}

func mustScopes(policy string, scopes []string) []string {
	if scopes = mustStrings(policy, scopes); !listable(scopes) {
		panic(fmt.Sprintf("popauth: %s: %q has what is no scope", policy, scopes))
	}
	return scopes
}

// listable tells whether each can stand in a list with spaces between, as RFC 6749, section 3.3, has it of scopes.
func listable(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return s == "" || !field.IsVisible(s) })
}

func mustStrings(policy string, list []string) []string {
	if len(list) == 0 || slices.Contains(list, "") {
		panic("popauth: " + policy + ": an empty value allows nothing")
	}
	return slices.Clone(list)
}

var errNoClient = errors.New("no client_id in the token; where another claim names the client, set Options.ClientClaim")

// Client asks for a token that was issued to one of these clients: its client_id (RFC 9068, section 2.2), or what
// Options.ClientClaim names, such as azp for Keycloak, Auth0 and Entra or cid for Okta. Any other is refused with 403 and
// ErrForbidden, and so is a token that doesn't name its client there. Another issuer may have a client of the same id: see
// Scope. It panics without an id, or with an empty one.
func Client(ids ...string) Policy {
	ids = mustStrings("Client", ids)
	return Policy{names: true, allow: func(_ *http.Request, p *Principal) error {
		if p.ClientID == "" {
			return &Error{Reason: ErrForbidden, Err: errNoClient}
		}
		return forbidUnless(ids, p.ClientID, "client")
	}}
}

// Subject asks for a token about one of these subjects. Otherwise it is like Client. A client and a user of one
// issuer may have the same sub, unless the issuer rules that out (RFC 9700, section 4.15).
func Subject(subjects ...string) Policy {
	subjects = mustStrings("Subject", subjects)
	return Policy{names: true, allow: func(_ *http.Request, p *Principal) error {
		return forbidUnless(subjects, p.Subject, "subject")
	}}
}

// forbidUnless refuses who is none of those.
func forbidUnless(allowed []string, who, what string) error {
	if slices.Contains(allowed, who) {
		return nil
	}
	return &Error{Reason: ErrForbidden, Err: &Mismatch{What: what, Got: mismatch.Text(who), Want: mismatch.Any(allowed)}}
}

// Bound asks for a token that is bound to a key, in whichever way: what Confirm adds to Authenticate, for Check. Any
// other is refused with 401 and ErrBindingMissing.
func Bound() Policy {
	bound := func(by []Binding) error {
		if len(by) == 0 {
			return &Error{Reason: ErrBindingMissing, Err: unbound(by, "")}
		}
		return nil
	}
	return Policy{
		allow: func(_ *http.Request, p *Principal) error { return bound(p.Bindings) },
		token: func(t *Token) error { return bound(t.bindings) },
	}
}

// BoundBy asks for a token that is bound in every one of these ways, cnf members such as x5t#S256. Any other is
// refused with 401 and ErrBindingMissing. It panics without a member, or with an empty one.
func BoundBy(members ...string) Policy {
	members = mustStrings("BoundBy", members)
	return Policy{allow: func(_ *http.Request, p *Principal) error {
		for _, m := range members {
			if !slices.ContainsFunc(p.Bindings, func(b Binding) bool { return b.Member == m }) {
				return &Error{Reason: ErrBindingMissing, Err: unbound(p.Bindings, m)}
			}
		}
		return nil
	}}
}

// ClaimsPolicy asks allow about the token's claims, decoded as Claims does. If it returns an error, or the claims
// don't fit a T, the request is refused with 403 and ErrForbidden. An error that wraps another Reason is answered as
// that, and one of a context or of a network with 503: whoever can't tell has not said no. It panics if allow is nil.
//
// A claim that is absent or null leaves its field at the zero value. Where that is a value too, as with "level at most
// 3", make the field a pointer and refuse nil. Numbers that identify, such as of accounts, belong into a string or an
// int64: an any or a float64 takes two of them for one.
func ClaimsPolicy[T any](allow func(T) error) Policy {
	if allow == nil {
		panic("popauth: ClaimsPolicy: nil function")
	}
	return Policy{names: true, allow: func(_ *http.Request, p *Principal) error {
		claims, err := Claims[T](p)
		if err == nil {
			err = allow(claims)
		}
		return forbidden(err, ErrForbidden)
	}}
}

// PolicyFunc asks allow about the request and who it comes from, for conditions that need both. What a router finds,
// Request.PathValue, Request.Pattern and the parameters of chi, is there inside of that router only: around it, each is
// "". For a tenant in the path see PathClaim, which refuses that. The Principal is the function's own; the request is
// everybody's, and must be left as it is. An error is handled like that of ClaimsPolicy. It panics if allow is
// nil. What it compares counts for every issuer of the Guard, unless it looks at Principal.Issuer as well.
func PolicyFunc(allow func(*http.Request, *Principal) error) Policy {
	if allow == nil {
		panic("popauth: PolicyFunc: nil function")
	}
	return Policy{allow: func(r *http.Request, p *Principal) error { return forbidden(allow(r, p.asOfNow()), ErrForbidden) }}
}

// CertificatePolicy asks allow about the request and its caller's certificate, which is nil if there is none. It is for a package
// of policies, since it copies nothing: the certificate is that of FindCertificate, which allow must not change. What its names say
// counts only if CheckIdentity has no error. An error is handled like that of ClaimsPolicy. Package clientcert has policies on
// names and thumbprints. It panics if allow is nil.
func CertificatePolicy(allow func(*http.Request, *Certificate) error) Policy {
	if allow == nil {
		panic("popauth: CertificatePolicy: nil function")
	}
	return Policy{allow: func(r *http.Request, p *Principal) error {
		return forbidden(allow(r, p.Certificate), ErrForbidden)
	}}
}

// PathClaim asks that the path's value of this name (Request.PathValue, which http.ServeMux and chi set) is the token's
// claim of that name, a string: PathClaim("tenant", "tenant") for the route /{tenant}/orders. Where one of them is
// empty, or there is none, the request is refused with 403 and ErrForbidden: around a router there is never a value. So
// is a pattern with the name twice, as routers mounted in one another make it: chi keeps the last value only. A policy of
// the outer one is asked before the inner one has its values, so give each its own names. Another issuer may write the
// same claim: see Scope. It panics with an empty name.
func PathClaim(value, claim string) Policy {
	if value == "" || claim == "" {
		panic("popauth: PathClaim: an empty name allows nothing")
	}
	return Policy{names: true, allow: func(r *http.Request, p *Principal) error {
		in := r.PathValue(value)
		if in == "" {
			return &Error{Reason: ErrForbidden, Err: fmt.Errorf("no value %q in the path: is the policy inside of the router?", value)}
		}
		if timesNamed(r.Pattern, value) > 1 {
			return &Error{Reason: ErrForbidden,
				Err: fmt.Errorf("%q is twice in the pattern %q: name one of them otherwise", value, r.Pattern)}
		}
		claims, err := Claims[map[string]jsontext.Value](p)
		if err != nil {
			return errorOf(err, ErrForbidden)
		}
		var own string
		if raw := claims[claim]; raw.Kind() != '"' || json.Unmarshal(raw, &own) != nil || own != in {
			return &Error{Reason: ErrForbidden, Err: fmt.Errorf("claim %q is not the path's value", claim)}
		}
		return nil
	}}
}

// timesNamed counts {value}, {value...} and chi's {value:expression}.
func timesNamed(pattern, value string) int {
	return strings.Count(pattern, "{"+value+"}") + strings.Count(pattern, "{"+value+"...}") + strings.Count(pattern, "{"+value+":")
}

// forbidden makes a refusal of what a function of the program returned.
func forbidden(err error, reason Reason) error {
	if err == nil {
		return nil
	}
	if calls.IsOutage(err) {
		reason = ErrUnavailable
	}
	return errorOf(err, reason)
}
