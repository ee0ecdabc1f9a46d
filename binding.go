package popauth

import "slices"

// Binding is one member of a token's cnf claim (RFC 7800, section 3): the name of a way to prove possession, and the
// key's value in it, such as x5t#S256 and a thumbprint.
type Binding struct{ Member, Value string }

// description is a member of cnf that is no way to prove possession: it describes the key that another member names.
type description struct{ member, of, value string }

// descriptions are the ones in use. What isn't here, or has another value, is a member like any other, which needs a
// Confirmer.
var descriptions = []description{
	// Keycloak since 26.7 says what kind of thumbprint its jkt is. Its other value, Client-Attestation, stands for a key
	// that no DPoP proof shows.
	{member: "kc-jkt-type", of: "jkt", value: "DPoP"},
}

// withoutDescriptions leaves out the members that describe a key beside them. One without its key stays, and is refused:
// a token must not be bound by what nobody has to prove.
func withoutDescriptions(list []Binding) []Binding {
	if len(list) == 1 {
		return list
	}
	return slices.DeleteFunc(list, func(b Binding) bool {
		return slices.ContainsFunc(descriptions, func(d description) bool {
			return b == Binding{d.member, d.value} && slices.ContainsFunc(list, func(key Binding) bool { return key.Member == d.of })
		})
	})
}
