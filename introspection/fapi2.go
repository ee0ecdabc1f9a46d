package introspection

import (
	"errors"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// FAPI2 returns o with the algorithms of the FAPI 2.0 Security Profile for signed answers, where Algorithms is nil and Signed is
// true, as FAPI 2.0 Message Signing has it. A Guard of popauth.Options.FAPI2 reports what else isn't as the profile wants
// it.
func (o Options) FAPI2() Options {
	if o.Signed && o.Algorithms == nil {
		o.Algorithms = jose.FAPI2()
	}
	return o
}

// FAPI2 returns what of the options isn't as the FAPI 2.0 Security Profile wants it, for popauth.Options.FAPI2.
func (i *Verifier) FAPI2() error {
	if i == nil || i.calls == nil {
		return popauth.ErrUnconfigured
	}
	return i.profile
}

func (o *Options) checkFAPI2() error {
	var wrong []error
	problem := settings.Problems("introspection: Options", &wrong)
	var algorithms []jose.Algorithm
	if o.Signed {
		algorithms = jose.NamedOrAll(o.Algorithms, func(string, string, ...any) {})
	}
	jose.CheckFAPI2(algorithms, o.Leeway, problem)
	switch a := o.Authentication.(type) {
	case TLSClientAuth:
	case PrivateKeyJWT:
		if a.Method != nil && !slices.Contains(jose.FAPI2(), a.Method.Alg()) {
			problem("Authentication", "signs by %s, which is not among %s (section 5.4.1)", a.Method.Alg(), strings.Join(jose.FAPI2(), " "))
		}
		if a.Audience != "" && a.Audience != o.Issuer {
			problem("Authentication", "Audience is %q, not the issuer (section 5.3.3.1): leave it empty", a.Audience)
		}
	default:
		problem("Authentication", "neither TLSClientAuth nor PrivateKeyJWT (section 5.3.3.1)")
	}
	if o.AllowLoopbackHTTP {
		problem("AllowLoopbackHTTP", "true (section 5.2.1)")
	}
	return errors.Join(wrong...)
}

// ChecksRevocation returns true: an answer says whether the token is active, and counts for Options.Remember at most.
func (*Verifier) ChecksRevocation() bool { return true }
