package popauth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// FAPI2 returns o with what the FAPI 2.0 Security Profile (final, of February 2025) asks of a resource server. Fields that are
// nil get the profile's values, every token has to be bound, at Authenticate and Check too, and New reports each
// field with which the profile isn't kept.
//
//	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"}.FAPI2())
//	…
//	guard, err := popauth.New(popauth.Options{
//		Issuer:     "https://id.example.com",
//		Audience:   []string{"https://api.example.com"},
//		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
//		Revoked:    revoked, // your own list of tokens: package revocation is about certificates
//	}.FAPI2())
//
// What else the profile asks for, of the server's TLS and of routes, and the test of each requirement, is in docs/fapi.md.
//
// Confirmers and Verifier have to say, by a method FAPI2() error, that they keep to the profile: those of this module and of its
// packages do, and one of your own may. That of package issuers has none, since its issuers can change at run time: make a Guard for
// each. A Verifier that asks its issuer whether each token is revoked says that by a
// method ChecksRevocation() bool, as that of package introspection does; beside any other, Revoked is required.
func (o Options) FAPI2() Options {
	o.fapi2 = true
	if o.Verifier == nil {
		j := JWTOptions{Algorithms: o.Algorithms, TokenTypes: o.TokenTypes, RequiredClaims: o.RequiredClaims}.FAPI2()
		o.Algorithms, o.TokenTypes = j.Algorithms, j.TokenTypes
	}
	return o
}

// FAPI2 returns o with the algorithms and token types of Options.FAPI2, where they are nil. A Guard of Options.FAPI2 reports
// what else isn't as the profile wants it.
func (o JWTOptions) FAPI2() JWTOptions {
	if o.Algorithms == nil {
		o.Algorithms = jose.FAPI2()
	}
	if o.TokenTypes == nil && len(o.RequiredClaims) == 0 {
		o.TokenTypes = slices.DeleteFunc(slices.Clone(defaultTypes), isAmbiguous)
	}
	return o
}

// profiled is what says that it keeps to FAPI 2.0, or why not.
type profiled interface{ FAPI2() error }

var errUnprofiled = errors.New("has no method FAPI2() error to say that it keeps to FAPI 2.0")

func keepsFAPI2(v any) error {
	if l, ok := v.(limited); ok {
		v = l.Verifier
	}
	p, ok := v.(profiled)
	if !ok {
		return fmt.Errorf("%T %w", v, errUnprofiled)
	}
	return p.FAPI2()
}

// checkFAPI2 reports what is not as FAPI 2.0 wants it, once the defaults are filled in.
func (o *Options) checkFAPI2(problem settings.Problem) {
	for i, c := range o.Confirmers {
		if c == nil {
			continue // which is reported
		}
		if err := keepsFAPI2(c); err != nil {
			problem("FAPI2", "Confirmers, entry %d: %w", i, err)
		}
	}
	if o.Binding == BindingAnnounced {
		problem("FAPI2", "Binding is BindingAnnounced, and every token has to be bound (section 5.3.4, item 4)")
	}
	if err := keepsFAPI2(o.Verifier); err != nil {
		problem("FAPI2", "%w", err)
	}
	if o.Revoked == nil && !checksRevocation(o.Verifier) {
		problem("FAPI2", "Revoked is nil, and revoked tokens must not pass (section 5.3.4): set it, or ask by package introspection")
	}
}

// checksRevocation tells whether a Verifier asks its issuer whether each token is revoked.
func checksRevocation(v Verifier) bool {
	if l, ok := v.(limited); ok {
		v = l.Verifier
	}
	c, ok := v.(interface{ ChecksRevocation() bool })
	return ok && c.ChecksRevocation()
}

// FAPI2 returns nil: RFC 8705 is one of the profile's two ways of binding (section 5.3.4, item 5).
func (MutualTLS) FAPI2() error { return nil }

// FAPI2 returns what of the options isn't as FAPI 2.0 wants it.
func (v *jwtVerifier) FAPI2() error {
	var wrong []error
	problem := settings.Problems("Options", &wrong)
	jose.CheckFAPI2(v.algorithms, v.leeway, problem)
	if len(v.OpenTokenTypes()) > 0 {
		problem("TokenTypes", "%q, which ID tokens have too (section 5.4.1; RFC 8725, section 3.12): leave it nil, or set RequiredClaims",
			v.types)
	}
	if v.kinds.idTokens {
		problem("AllowIDTokens", "true (section 5.4.1; RFC 8725, section 3.12)")
	}
	if v.endless {
		problem("AllowMissingExpiration", "true (section 5.3.4)")
	}
	if k, ok := v.keys.(*RemoteKeys); ok && k.made() && k.plain {
		problem("Keys", "AllowLoopbackHTTP or AllowPrivateHTTP is true (sections 5.2.1 and 5.4.2)")
	}
	return errors.Join(wrong...)
}

// FAPI2 returns what isn't as FAPI 2.0 wants it in either.
func (v jwtOr) FAPI2() error { return errors.Join(keepsFAPI2(v.jwt), keepsFAPI2(v.opaque)) }

// ChecksRevocation tells whether both do.
func (v jwtOr) ChecksRevocation() bool { return checksRevocation(v.jwt) && checksRevocation(v.opaque) }
