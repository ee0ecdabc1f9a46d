package popauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// BindingRule says whether tokens have to be bound.
type BindingRule int

// The rules, from the weakest.
const (
	BindingByRoute BindingRule = iota // where Confirm, Bound or BoundBy says so
	// not yet: one that isn't passes where no route says so, and is logged, once a minute for each client
	BindingAnnounced
	BindingRequired // always: any other is refused with ErrBindingMissing
)

// Binding is one member of a token's cnf claim (RFC 7800, section 3): the name of a way to prove possession, and the
// key's value in it, such as x5t#S256 and a thumbprint.
//
// A value that is a JSON object, such as that of jwk, is its text as it stands in the token, in which no member is there twice. A
// Confirmer that takes objects is shown such a Binding, and no other.
type Binding struct{ Member, Value string }

// IsObject tells whether the value is a JSON object. No string that begins like one is taken for a value.
func (b Binding) IsObject() bool { return strings.HasPrefix(b.Value, "{") }

const (
	memberX5T = "x5t#S256" // RFC 8705, section 3.1
	memberJKT = "jkt"      // RFC 9449, section 6.1
)

// readConfirmation reads a cnf claim. RFC 7800, section 3.1, lets a reader ignore members that it does not know; here
// they are kept, so that what nobody confirms is refused.
func readConfirmation(text string, at int, cnf []byte) ([]Binding, error) {
	var list []Binding
	err := strictjson.MembersAt(cnf, nil, func(member string, v jsontext.Value, inner int) error {
		b := Binding{Member: member}
		if v.Kind() == '{' {
			b.Value = text[at+inner:][:len(v)]
		} else {
			var err error
			if b.Value, err = strictjson.StringAt(text, at+inner, v); err != nil || b.Value == "" || b.IsObject() {
				return fmt.Errorf("%.64q: %w", member, strictjson.ErrType)
			}
		}
		list = append(list, b)
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
	{member: "kc-jkt-type", of: memberJKT, value: "DPoP"},
}

// withoutDescriptions leaves out the members that describe a key beside them. One without its key stays, and is refused:
// a token must not be bound by what nobody has to prove.
func withoutDescriptions(list []Binding) []Binding {
	if len(list) == 1 {
		return list
	}
	return slices.DeleteFunc(list, func(b Binding) bool {
		return slices.ContainsFunc(descriptions, func(d description) bool {
			return b == Binding{Member: d.member, Value: d.value} &&
				slices.ContainsFunc(list, func(key Binding) bool { return key.Member == d.of })
		})
	})
}
