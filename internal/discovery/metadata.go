package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// ErrNoMetadata is in the error for a document that is no metadata at all: no JSON object, as a page for people is none, or
// one that names no issuer, which is required (RFC 8414, section 2).
var ErrNoMetadata = errors.New("not an issuer's metadata")

const aliases = "mtls_endpoint_aliases"

// Member returns a member of a metadata document that is the issuer's own (RFC 8414, section 3.3); "" if there is none,
// or null. Aliased, the one for callers with a certificate comes first (RFC 8705, section 5). What else stands in the
// document doesn't matter here.
func Member(body []byte, issuer, member string, aliased bool) (string, error) {
	var said, plain, alias string
	var misread error // of a member that counts
	err := strictjson.Among(body, []string{"issuer", member, aliases}, func(name string, v jsontext.Value) (err error) {
		switch {
		case v.Kind() == 'n': // absent, in another spelling
		case name == "issuer":
			if said, err = strictjson.String(v); err != nil {
				err = notMetadata{err} // it names none
			}
		case name == member:
			plain, err = strictjson.String(v)
		case aliased:
			alias, err = MemberOf(v, member)
		}
		misread = err
		return err
	})
	switch {
	case errors.Is(err, strictjson.ErrSyntax) && misread == nil:
		return "", notMetadata{fmt.Errorf("metadata: %w", err)}
	case err != nil:
		return "", fmt.Errorf("metadata: %w", err)
	case said != issuer:
		err = fmt.Errorf("metadata: of another issuer: its issuer is %.256q, and %.256q is wanted, to the letter: set Issuer to "+
			"what the tokens have as iss", said, issuer)
		if said == "" {
			err = notMetadata{err}
		}
		return "", err
	case alias != "":
		return alias, nil
	}
	return plain, nil
}

// MemberOf returns the string in one member of an object; "" if there is none, or null.
func MemberOf(object []byte, member string) (string, error) {
	var value string
	err := strictjson.Among(object, []string{member}, func(_ string, v jsontext.Value) (err error) {
		if v.Kind() != 'n' {
			value, err = strictjson.String(v)
		}
		return err
	})
	return value, err
}

// ListOf returns a member of an object that is a list of strings, nil if there is none.
func ListOf(object []byte, member string) ([]string, error) {
	var list []string
	err := strictjson.Among(object, []string{member}, func(_ string, v jsontext.Value) (err error) {
		if v.Kind() != 'n' {
			list, err = strictjson.Strings(v)
		}
		return err
	})
	return list, err
}

// notMetadata is an error that is ErrNoMetadata too.
type notMetadata struct{ error }

func (e notMetadata) Unwrap() []error { return []error{e.error, ErrNoMetadata} }

// Share is for asking one of several places: all but the last get half of the time that is left, so that one that hangs
// leaves some for the others.
func Share(ctx context.Context, last bool) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || last {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}
