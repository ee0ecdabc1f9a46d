package popauth

import (
	"errors"
	"net/http"
	"slices"
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
	which := slices.IndexFunc(all, func(err error) bool { return refused(err, ErrForbidden).Status() >= http.StatusInternalServerError })
	if which < 0 {
		which = slices.IndexFunc(all, func(err error) bool { return !errors.Is(err, errIssuer) })
	}
	which = max(which, 0)
	e := refused(all[which], ErrForbidden)
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
