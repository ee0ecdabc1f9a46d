package popauth

import (
	"errors"
	"net/http"
	"slices"
)

// AnyOf asks for at least one of these policies. If none allows the request, the refusal is that of the first, unless
// one could not tell: then that counts, with 503. It panics without a policy, or with the zero Policy.
func AnyOf(policies ...Policy) Policy {
	policies = mustPolicies("AnyOf", policies)
	all := func(is func(Policy) bool) bool {
		return !slices.ContainsFunc(policies, func(p Policy) bool { return !is(p) })
	}
	first := policies[0]
	return Policy{
		scopes: first.scopes, acr: first.acr, maxAge: first.maxAge, either: policies,
		known:  all(func(p Policy) bool { return p.known }),
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
			return foremost(all)
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
		known:  has(func(p Policy) bool { return p.known }),
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

// foremost returns the refusal that all of these together come to: "can't tell" is not "no".
func foremost(all []error) error {
	e := refused(all[0], ErrForbidden)
	for _, err := range all {
		if other := refused(err, ErrForbidden); other.Status() >= http.StatusInternalServerError {
			e = other
			break
		}
	}
	e.Err = errors.Join(all...)
	return e
}
