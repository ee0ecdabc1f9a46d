package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// ACR asks for a token whose user has authenticated in one of these ways: its acr (RFC 9470, section 6), compared to
// the letter. List the preferred one first. Any other token, one without acr too, is refused with 401 and ErrStepUp, and
// the challenge says what would do. It panics without a value, or with one that can't stand in acr_values.
func ACR(values ...string) Policy {
	if values = mustStrings("ACR", values); !listable(values) {
		panic(fmt.Sprintf("popauth: ACR: %q has what can't stand in a list", values))
	}
	return Policy{acr: values, names: true, allow: func(_ *http.Request, p *Principal) error {
		a, err := readAuthentication(p)
		if err == nil && !slices.Contains(values, a.acr) {
			err = &Mismatch{What: "acr", Got: mismatch.Text(a.acr), Want: mismatch.Any(values)}
		}
		return weak(err)
	}}
}

// AuthenticatedWithin asks for a token whose user has authenticated no longer than d ago: its auth_time (RFC 9470,
// section 6), with Options.Leeway for the clocks, which is 30 s if there is a Verifier. Otherwise it is like ACR. It
// panics if d is not at least a second and whole seconds, which is what a challenge can say.
func AuthenticatedWithin(d time.Duration) Policy {
	if d < time.Second || d%time.Second != 0 {
		panic(fmt.Sprintf("popauth: AuthenticatedWithin: %v is no number of seconds", d))
	}
	return Policy{maxAge: d, allow: func(_ *http.Request, p *Principal) error {
		a, err := readAuthentication(p)
		if err == nil {
			err = p.clock.within(d, a.time)
		}
		return weak(err)
	}}
}

func (c clock) within(d time.Duration, t time.Time) error {
	if t.IsZero() {
		return errors.New("no auth_time")
	}
	switch age := c.now().Sub(t); {
	case age > d+c.leeway:
		return &Mismatch{What: "auth_time", Got: mismatch.At(t) + ", " + mismatch.By(age) + " ago", Want: fmt.Sprintf("%v ago at most", d)}
	case age < -c.leeway:
		return &Mismatch{What: "auth_time", Got: mismatch.At(t) + ", " + mismatch.By(age) + " ahead of this clock",
			Want: "a time that is over"}
	}
	return nil
}

func weak(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Reason: ErrStepUp, Err: err}
}

// authentication is what a token says about how its user has authenticated, and when.
type authentication struct {
	acr  string
	time time.Time // zero if absent
}

// readAuthentication fails for a principal without a token, whose payload is no object.
func readAuthentication(p *Principal) (authentication, error) {
	var a authentication
	err := strictjson.Members([]byte(p.payload), []string{"acr", "auth_time"}, func(name string, v jsontext.Value) (err error) {
		if v.Kind() == 'n' {
			return nil // absent, as some servers write it in an answer
		}
		switch name {
		case "acr":
			a.acr, err = strictjson.String(v)
		case "auth_time":
			a.time, err = date(v)
		}
		return err
	})
	return a, err
}

// acrOf returns the values of acr that all of the policies would take.
func acrOf(policies []Policy) []string {
	var common []string
	for _, p := range policies {
		switch {
		case p.acr == nil:
		case common == nil:
			common = slices.Clone(p.acr)
		default:
			common = slices.DeleteFunc(common, func(v string) bool { return !slices.Contains(p.acr, v) })
		}
	}
	return common
}

// maxAgeOf returns the shortest age that one of the policies asks for; zero if none does.
func maxAgeOf(policies []Policy) time.Duration {
	var least time.Duration
	for _, p := range policies {
		if p.maxAge > 0 && (least == 0 || p.maxAge < least) {
			least = p.maxAge
		}
	}
	return least
}

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
