package popauth

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Binding is one member of a token's cnf claim (RFC 7800, section 3): the name of a way to prove possession, and the
// key's value in it, such as x5t#S256 and a thumbprint.
type Binding struct{ Member, Value string }

// readConfirmation reads a cnf claim. RFC 7800, section 3.1, lets a reader ignore members that it does not know; here
// they are kept, so that what nobody confirms is refused.
func readConfirmation(text string, at int, cnf []byte) ([]Binding, error) {
	var list []Binding
	err := strictjson.MembersAt(cnf, nil, func(member string, v jsontext.Value, inner int) error {
		value, err := strictjson.StringAt(text, at+inner, v)
		if err != nil || value == "" {
			return fmt.Errorf("%.64q: %w", member, strictjson.ErrType)
		}
		list = append(list, Binding{member, value})
		return nil
	})
	if err == nil && len(list) == 0 {
		err = errors.New("no member")
	}
	if err != nil {
		return nil, err
	}
	return withoutDescriptions(list), nil
}

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
