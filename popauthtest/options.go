package popauthtest

import "github.com/seed-171ab058/popauth"

// Options returns the options of a Guard that accepts this issuer's tokens for the audiences given, or for Audience
// if none is. The keys come from the issuer's real endpoints, the time from its clock.
func (i *Issuer) Options(audience ...string) popauth.Options {
	if len(audience) == 0 {
		audience = []string{Audience}
	}
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: i.URL, Client: i.Client(), Now: i.now})
	if err != nil {
		i.tb.Helper()
		i.tb.Fatalf("popauthtest: %v", err)
	}
	return popauth.Options{Issuer: i.URL, Audience: audience, Keys: keys, Now: i.now}
}
