package popauth

import (
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// AuthorizationDetail has the members that authorization details of any type may have (RFC 9396, section 2.2). Embed
// it in a type of your own that has the further ones of yours. Claims reads all of a token's:
//
//	popauth.Claims[struct {
//		Details []popauth.AuthorizationDetail `json:"authorization_details"`
//	}](caller)
type AuthorizationDetail struct {
	Type       string   `json:"type"`
	Locations  []string `json:"locations,omitempty"`
	Actions    []string `json:"actions,omitempty"`
	DataTypes  []string `json:"datatypes,omitempty"`
	Identifier string   `json:"identifier,omitempty"`
	Privileges []string `json:"privileges,omitempty"`
}

// AuthorizationDetails asks allow about each of the token's authorization details of one type (RFC 9396, section 9),
// decoded as Claims does, until it returns nil for one of them. Otherwise the request is refused with 403 and
// ErrAuthorizationDetails, which is answered with insufficient_scope, since RFC 9396 has no code of its own for it; an
// error that wraps another Reason is answered as that. So is a token whose authorization_details are no array of
// objects with a type, or have an element of this type that doesn't fit a T, whatever else they hold. It panics if typ
// is empty or not UTF-8, or allow nil.
func AuthorizationDetails[T any](typ string, allow func(*http.Request, T) error) Policy {
	if typ == "" || !utf8.ValidString(typ) || allow == nil {
		panic("popauth: AuthorizationDetails: no type or nil function")
	}
	return Policy{types: []string{typ}, names: true, allow: func(r *http.Request, p *Principal) error {
		details, err := readAuthorizationDetails[T](p, typ)
		if err != nil {
			return &Error{Reason: ErrAuthorizationDetails, Err: err}
		}
		var all []error
		for _, d := range details {
			err := allow(r, d)
			if err == nil {
				return nil
			}
			all = append(all, forbidden(err, ErrAuthorizationDetails))
		}
		if len(all) == 0 {
			return &Error{Reason: ErrAuthorizationDetails, Err: errors.New("none of that type")}
		}
		e, _ := foremost(all)
		return e
	}}
}

var errDetailType = errors.New("an authorization detail doesn't fit its type")

// readAuthorizationDetails returns those of one type. It looks at all of them before one can count, and fails for a
// principal without a token, whose payload is no object.
func readAuthorizationDetails[T any](p *Principal, typ string) ([]T, error) {
	var fit []T
	err := strictjson.Members([]byte(p.payload), []string{"authorization_details"}, func(name string, v jsontext.Value) error {
		if name != "authorization_details" {
			return nil
		}
		elements, err := strictjson.Elements(v)
		for _, e := range elements {
			found, err := typeOfDetail(e)
			if err != nil {
				return err
			}
			if found != typ {
				continue
			}
			var d T
			if json.Unmarshal(e, &d) != nil {
				return errDetailType
			}
			fit = append(fit, d)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return fit, nil
}

func typeOfDetail(detail jsontext.Value) (typ string, err error) {
	err = strictjson.Members(detail, []string{"type"}, func(name string, v jsontext.Value) (err error) {
		if name == "type" {
			typ, err = strictjson.String(v)
		}
		return err
	})
	if err == nil && typ == "" {
		err = errors.New("an authorization detail without type")
	}
	return typ, err
}
