package dpop

import (
	"errors"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// FAPI2 returns o with the algorithms of the FAPI 2.0 Security Profile, where Algorithms is nil: ES256, EdDSA, Ed25519 and PS256.
// A Guard of popauth.Options.FAPI2 reports what else isn't as the profile wants it.
func (o Options) FAPI2() Options {
	if o.Algorithms == nil {
		o.Algorithms = jose.FAPI2()
	}
	return o
}

// FAPI2 returns what of the options isn't as the FAPI 2.0 Security Profile wants it, for popauth.Options.FAPI2.
func (d *Confirmer) FAPI2() error {
	if !d.made() {
		return errUnmade
	}
	var wrong []error
	problem := settings.Problems("dpop: Options", &wrong)
	jose.CheckFAPI2(d.accepted, d.options.Leeway, problem)
	if d.options.NonceTime {
		problem("NonceTime", "true, which takes an iat that is more than 60 s ahead (section 5.3.2.1)")
	}
	return errors.Join(wrong...)
}
