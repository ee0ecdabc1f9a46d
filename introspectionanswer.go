package popauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const signedAnswerType = "token-introspection+jwt"

// read makes a verdict of an answer (RFC 7662, section 2.2). An error means that it is none.
func (i *Introspection) read(ctx context.Context, body []byte, began time.Time) (verdict, error) {
	if i.signed != nil {
		var err error
		if body, err = i.unwrap(ctx, body, began); err != nil {
			return verdict{}, err
		}
	}
	a, err := readAnswer(body)
	if err != nil {
		return verdict{}, err
	}
	if !a.active {
		return verdict{refusal: &Error{Reason: ErrTokenInvalid, Err: errors.New("not active")}}, nil
	}
	t := &Token{}
	e, err := t.read(body, nil)
	if err == nil {
		err = i.unfit(t, a, e)
	}
	if err != nil {
		return verdict{refusal: err}, nil
	}
	return verdict{token: t}, nil
}

// unwrap takes the answer out of a signed one (RFC 9701, section 5). A plain one is a downgrade.
func (i *Introspection) unwrap(ctx context.Context, body []byte, began time.Time) ([]byte, error) {
	t, err := i.signed.Verify(ctx, strings.TrimSpace(string(body)))
	if err != nil {
		return nil, err
	}
	if t.IssuedAt.Before(began.Add(-i.options.Leeway).Truncate(time.Second)) {
		return nil, errors.New("signed answer without iat, or of an earlier call")
	}
	if len(t.bindings) > 0 {
		return nil, errors.New("signed answer with a cnf outside of it, which would get lost") // RFC 9701, section 5
	}
	const name = "token_introspection"
	var inner []byte
	err = strictjson.Members([]byte(t.payload), []string{name}, func(member string, v jsontext.Value) error {
		if member == name {
			inner = v.Clone()
		}
		return nil
	})
	if err != nil || inner == nil {
		return nil, errors.New("signed answer without " + name)
	}
	return inner, nil
}

// introspected is what an answer says beside the token's claims.
type introspected struct {
	active    bool
	tokenType string
}

var errActive = errors.New("active is no boolean, or missing")

func readAnswer(body []byte) (introspected, error) {
	var a introspected
	decided := false
	err := strictjson.Members(body, []string{"active", "token_type"}, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "active":
			decided = v.Kind() == 't' || v.Kind() == 'f'
			a.active = v.Kind() == 't'
		case "token_type":
			a.tokenType, err = strictjson.String(v)
		}
		return err
	})
	if err != nil {
		return introspected{}, err
	}
	if !decided {
		return introspected{}, errActive
	}
	return a, nil
}

// unfit returns why this API can't accept an active token; nil if it can.
func (i *Introspection) unfit(t *Token, a introspected, e evidence) error {
	// Most servers answer for refresh tokens and ID tokens as well, as active as any.
	if err := (tokenKinds{}).refuseSaid(e); err != nil {
		return err
	}
	if err := (tokenKinds{}).refuse(e, t); err != nil {
		return err
	}
	keyed := slices.ContainsFunc(t.bindings, func(b Binding) bool { return b.Member == "jkt" })
	switch strings.ToLower(a.tokenType) { // RFC 6749, section 5.1: in any case
	case "":
	case "dpop": // RFC 9449, section 6.2
		if !keyed {
			return &Error{Reason: ErrBindingMalformed, Err: errors.New("token_type DPoP without jkt")}
		}
	case "bearer", "access_token":
		if keyed {
			return &Error{Reason: ErrBindingMalformed, Err: errors.New("jkt, but token_type is not DPoP")}
		}
	default:
		return ErrTokenType
	}
	switch {
	case t.Issuer == "":
		t.Issuer = i.options.Issuer
	case t.Issuer != i.options.Issuer:
		return ErrTokenIssuer
	}
	if t.Audience == nil && i.options.AllowMissingAudience {
		return nil
	}
	if !slices.ContainsFunc(i.options.Audience, func(name string) bool { return slices.Contains(t.Audience, name) }) {
		return ErrTokenAudience
	}
	return nil
}

// isUnsupported tells whether a refusal is about the token, not about the call (RFC 7009, section 2.2.1).
func isUnsupported(body []byte) bool {
	code, err := readMember(body, "error")
	return err == nil && code == "unsupported_token_type"
}
