package introspection

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/jose"
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
	if o.Signed {
		wrong = append(wrong, jose.KeepsFAPI2(jose.NamedOrAll(o.Algorithms, func(string, string, ...any) {})))
	}
	switch a := o.Authentication.(type) {
	case TLSClientAuth:
	case PrivateKeyJWT:
		if a.Method != nil && !slices.Contains(jose.FAPI2(), a.Method.Alg()) {
			wrong = append(wrong, fmt.Errorf("Authentication signs by %s, and FAPI 2.0 by PS256, ES256 or EdDSA (section 5.4.1)", a.Method.Alg())) //nolint:staticcheck // a field's name
		}
		if a.Audience != "" && a.Audience != o.Issuer {
			wrong = append(wrong, fmt.Errorf("Authentication.Audience is %q, and FAPI 2.0 asks for the issuer (section 5.3.3.1): leave it empty", a.Audience)) //nolint:staticcheck // a field's name
		}
	default:
		wrong = append(wrong, errors.New("Authentication is neither TLSClientAuth nor PrivateKeyJWT, and FAPI 2.0 asks for one (section 5.3.3.1)"))
	}
	if o.AllowLoopbackHTTP {
		wrong = append(wrong, errors.New("AllowLoopbackHTTP is true, and FAPI 2.0 asks for TLS (section 5.2.1)"))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("introspection.Options: %w", err)
	}
	return nil
}

// ChecksRevocation returns true: an answer says whether the token is active, and counts for Options.Remember at most.
func (*Verifier) ChecksRevocation() bool { return true }
