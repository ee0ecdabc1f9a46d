package popauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

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
			err = errors.New("another acr")
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
		return errors.New("auth_time too long ago")
	case age < -c.leeway:
		return errors.New("auth_time in the future")
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
