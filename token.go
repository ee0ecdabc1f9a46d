package popauth

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Verifier decides whether an access token is genuine, in force and meant for this API. An error refuses the request:
// it should wrap a Reason, ErrUnavailable if the decision can't be made; one that does not is answered like
// ErrTokenInvalid. A Verifier may look at what other handlers have put into the context, as long as it makes sure
// that this belongs to the very token it is asked about.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Token, error)
}

// Token is what a Verifier found genuine: claims, not yet an identity, since it is not known who holds it. NewToken
// and TrustJWT make one; a Guard refuses any other.
type Token struct {
	Issuer, Subject, ClientID, TokenID string // iss, sub, client_id, jti; "" if absent
	Audience                           []string
	Scopes                             []string  // scope, or scp where there is none; a string or an array
	IssuedAt, NotBefore, ExpiresAt     time.Time // in whole seconds; zero if absent

	bindings []Binding
	payload  []byte // the claims; nil in a Token that nobody has read
	foreign  bool   // it has a claim that tells it from an access token
}

// registered are the claims that popauth reads (RFC 7519, RFC 7800, RFC 9068).
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf"}

// NewToken reads the claims of a token whose Verifier found it genuine: one JSON object, as in a JWT's payload or an
// introspection response. The bytes are kept. Pass on what the issuer wrote, not a struct marshalled again: a cnf that
// gets lost on the way would make a bound token look unbound. The error wraps ErrTokenMalformed or
// ErrBindingMalformed.
func NewToken(claims []byte) (*Token, error) {
	t := &Token{payload: claims}
	var scope, scp []string
	scoped := false
	err := strictjson.Members(claims, registered, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "iss":
			t.Issuer, err = strictjson.String(v)
		case "sub":
			t.Subject, err = strictjson.String(v)
		case "jti":
			t.TokenID, err = strictjson.String(v)
		case "client_id":
			t.ClientID, err = strictjson.String(v)
		case "aud":
			t.Audience, err = oneOrMore(v)
		case "exp":
			t.ExpiresAt, err = date(v)
		case "nbf":
			t.NotBefore, err = date(v)
		case "iat":
			t.IssuedAt, err = date(v)
		case "scope":
			scope, err = scopes(v)
			scoped = true
		case "scp":
			scp, err = scopes(v)
		case "cnf":
			t.bindings, err = readConfirmation(v)
		case "at_hash", "c_hash", "s_hash", "events", "token_introspection":
			t.foreign = true // of an ID token, a logout token or other event, an introspection response
		case "typ":
			t.foreign = t.foreign || string(v) == `"ID"` // so some issuers mark theirs
		}
		return err
	})
	if err != nil {
		return nil, refused(err, ErrTokenMalformed)
	}
	t.Scopes = scope
	if !scoped {
		t.Scopes = scp
	}
	return t, nil
}

// TrustJWT reads the claims of a JWT that somebody else has verified for this API: signature, issuer, audience and
// time. It verifies none of that. It is for a Verifier behind an existing JWT middleware.
func TrustJWT(token string) (*Token, error) {
	header, claims, _, err := split(token)
	if err != nil {
		return nil, err
	}
	// With b64 or a nested token, what was verified is not what is read here.
	if _, err := readHeader(header); err != nil {
		return nil, err
	}
	return NewToken(claims)
}

var errBase64 = errors.New("not base64url without padding")

// decodeSegment decodes base64url without padding. Strict alone would skip line breaks, so that a token had more than
// one spelling.
func decodeSegment(s string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, &Error{Reason: ErrTokenMalformed, Err: errBase64}
	}
	return b, nil
}

// boundBy tells whether the token is bound in this way.
func (t *Token) boundBy(member string) bool {
	return slices.ContainsFunc(t.bindings, func(b Binding) bool { return b.Member == member })
}

func oneOrMore(v jsontext.Value) ([]string, error) {
	if v.Kind() == '[' {
		return strictjson.Strings(v)
	}
	s, err := strictjson.String(v)
	return []string{s}, err
}

// scopes reads a scope claim: a list with one space between (RFC 8693, section 4.2), or an array, as some issuers
// write it.
func scopes(v jsontext.Value) ([]string, error) {
	if v.Kind() == '[' {
		return strictjson.Strings(v)
	}
	s, err := strictjson.String(v)
	return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' }), err
}

func date(v jsontext.Value) (time.Time, error) {
	s, err := strictjson.Seconds(v)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(s, 0), nil
}
