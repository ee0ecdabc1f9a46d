package popauth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Verifier decides whether an access token is genuine, in force and meant for this API. An error refuses the request:
// it should wrap a Reason, ErrUnavailable if the decision can't be made; one that does not is answered like
// ErrTokenInvalid. A Verifier may look at what other handlers have put into the context, as long as it makes sure
// that this belongs to the very token it is asked about.
//
// A Verifier may have a method Issuers() []string, the iss of all tokens that it ever accepts, the same at every call; the
// Guard refuses any other. Without it, and with more than one, policies on names have to say whose: see Issuer.
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
	payload  string // the claims, of which the strings above are parts; empty in a Token that nobody has read
}

// registered are the claims that popauth reads (RFC 7519, RFC 7800, RFC 9068).
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf"}

// NewToken reads the claims of a token whose Verifier found it genuine: one JSON object, as in a JWT's payload or an
// introspection response. They are kept. Pass on what the issuer wrote, not a struct marshalled again: a cnf that gets
// lost on the way would make a bound token look unbound. The error wraps ErrTokenMalformed or ErrBindingMalformed.
func NewToken(claims []byte) (*Token, error) {
	t := &Token{}
	if _, err := t.read(claims, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// read fills in an empty Token, and returns what its claims say about the kind of token that it is.
func (t *Token) read(claims []byte, required []string) (evidence, error) {
	return t.fill(claims, required, false)
}

// readAnswer is read for the answer of a server, in which null and an empty aud are other spellings of an absent member.
// A cnf is never absent in another spelling.
func (t *Token) readAnswer(answer []byte, required []string) (evidence, error) {
	return t.fill(answer, required, true)
}

func (t *Token) fill(claims []byte, required []string, answer bool) (evidence, error) {
	var e evidence
	t.payload = string(claims)
	text := t.payload
	var scope, scp []string
	scoped := false
	err := strictjson.MembersAt(claims, registered, func(name string, v jsontext.Value, at int) (err error) {
		e.claim(name, text, at, v, required)
		if answer && v.Kind() == 'n' && name != "cnf" {
			return nil
		}
		switch name {
		case "iss":
			t.Issuer, err = strictjson.StringAt(text, at, v)
		case "sub":
			t.Subject, err = strictjson.StringAt(text, at, v)
		case "jti":
			t.TokenID, err = strictjson.StringAt(text, at, v)
		case "client_id":
			t.ClientID, err = strictjson.StringAt(text, at, v)
		case "aud":
			if t.Audience, err = oneOrMore(text, at, v); answer && len(t.Audience) == 0 {
				t.Audience = nil
			}
		case "exp":
			t.ExpiresAt, err = date(v)
		case "nbf":
			t.NotBefore, err = date(v)
		case "iat":
			t.IssuedAt, err = date(v)
		case "scope":
			scope, err = scopes(text, at, v)
			scoped = true
		case "scp":
			scp, err = scopes(text, at, v)
		case "cnf":
			if t.bindings, err = readConfirmation(text, at, v); err != nil {
				err = &Error{Reason: ErrBindingMalformed, Err: err}
			}
		}
		return err
	})
	if err != nil {
		return evidence{}, refused(err, ErrTokenMalformed)
	}
	t.Scopes = scope
	if !scoped {
		t.Scopes = scp
	}
	return e, nil
}

// clone returns a Token that its owner may change.
func (t *Token) clone() *Token {
	own := *t
	own.Audience, own.Scopes = slices.Clone(t.Audience), slices.Clone(t.Scopes)
	return &own
}

// TrustJWT reads the claims of a JWT that somebody else has verified for this API: signature, issuer, audience and
// time. It verifies none of that. It is for a Verifier behind an existing JWT middleware. The error wraps ErrTokenType
// for what is a token of another kind, such as an ID token, by the rules that hold for Options.TokenTypes at its default.
func TrustJWT(token string) (*Token, error) {
	j, err := jose.Split(token)
	if err != nil {
		return nil, malformed(err)
	}
	// With b64 or a nested token, what was verified is not what is read here.
	h, err := j.ReadHeader()
	if err != nil {
		return nil, malformed(err)
	}
	if !jose.IsType(defaultTypes, h.Type) && h.Type != "" {
		return nil, wrongKind("header typ is %.64q", h.Type)
	}
	s, err := j.Decode()
	if err != nil {
		return nil, malformed(err)
	}
	defer s.Close()
	t := &Token{}
	e, err := t.read(s.Payload, nil)
	if err == nil {
		err = tokenKinds{}.check(e, t, h.Type)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// who is whose token this is, for logs and metrics; the zero who if there is none.
func (t *Token) who() who {
	if t == nil {
		return who{}
	}
	return who{true, t.Issuer, t.ClientID, t.TokenID, t.bindings}
}

// boundBy tells whether the token is bound in this way.
func (t *Token) boundBy(member string) bool {
	return slices.ContainsFunc(t.bindings, func(b Binding) bool { return b.Member == member })
}

func oneOrMore(text string, at int, v jsontext.Value) ([]string, error) {
	if v.Kind() == '[' {
		return strictjson.StringsAt(text, at, v)
	}
	s, err := strictjson.StringAt(text, at, v)
	return []string{s}, err
}

// scopes reads a scope claim: a list with one space between (RFC 8693, section 4.2), or an array, as some issuers
// write it.
func scopes(text string, at int, v jsontext.Value) ([]string, error) {
	if v.Kind() == '[' {
		return strictjson.StringsAt(text, at, v)
	}
	s, err := strictjson.StringAt(text, at, v)
	return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' }), err
}

func date(v jsontext.Value) (time.Time, error) {
	s, err := strictjson.Seconds(v)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(s, 0), nil
}
