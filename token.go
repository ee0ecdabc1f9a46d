package popauth

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// Verifier decides whether an access token is genuine, in force and meant for this API. An error refuses the request:
// it should wrap a Reason, ErrUnavailable if the decision can't be made; one that does not is answered like
// ErrTokenInvalid. A Verifier may look at what other handlers have put into the context, as long as it makes sure
// that this belongs to the very token it verifies.
//
// A Verifier may cache: a Token never changes, so the same one may be returned to any number of requests.
//
// A Verifier may have more methods, which a Guard finds by a type assertion.
//
// Issuers() []string returns the iss of all tokens that it ever accepts, the same at every call; the Guard refuses any other.
// Without it, and with more than one, policies on names have to say whose: see Issuer. Where more may come, KnownIssuers()
// []string returns those that are known now, in place of Issuers: one alone is published as Resource.AuthorizationServers.
//
// OpenTokenTypes() []string returns the issuers of whose JWTs only the claims tell whether they are access tokens. The Guard
// warns of them. One that has others decide returns theirs.
type Verifier interface {
	Verify(ctx context.Context, token string) (*Token, error)
}

// CachingVerifier is a Verifier that can tell at once whether a Token of its is still fresh. A Guard whose Certificate source
// takes time, as one that asks a revocation service does, asks it after the source: the token's key may have been
// withdrawn meanwhile. A Verifier without Fresh is not called a second time.
type CachingVerifier interface {
	Verifier

	// Fresh tells whether Verify would return t for the token now. It makes no call. If false, since that is not so or not
	// known, the Guard calls Verify again, which decides.
	Fresh(token string, t *Token) bool
}

// Token is what a Verifier found genuine: claims, not yet an identity, since it is not known who holds it. NewToken
// and TrustJWT make one; a Guard refuses any other. It is immutable, and may be shared; lists are returned as copies.
type Token struct {
	issuer, subject, clientID, tokenID string
	audience, scopes                   []string
	issuedAt, notBefore                seconds
	expiresAt                          time.Time // zero if absent; read by every request

	bindings []Binding
	payload  string         // the claims, of which the strings above are parts; empty in a Token that nobody has read
	kept     *verifiedToken // that it is part of; nil if no jwtVerifier made it
	seen     atomic.Bool    // a Verifier has returned it to a Guard
}

// Issuer returns iss; "" if absent.
func (t *Token) Issuer() string { return t.issuer }

// Subject returns sub; "" if absent.
func (t *Token) Subject() string { return t.subject }

// ClientID returns client_id, or the claim that Options.ClientClaim names; "" if absent.
func (t *Token) ClientID() string { return t.clientID }

// TokenID returns jti; "" if absent.
func (t *Token) TokenID() string { return t.tokenID }

// Audience returns aud.
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// Scopes returns scope, or scp where there is none; a string or an array.
func (t *Token) Scopes() []string { return slices.Clone(t.scopes) }

// IssuedAt returns iat, in whole seconds; the zero Time if absent.
func (t *Token) IssuedAt() time.Time { return t.issuedAt.time() }

// NotBefore returns nbf, in whole seconds; the zero Time if absent.
func (t *Token) NotBefore() time.Time { return t.notBefore.time() }

// ExpiresAt returns exp, in whole seconds; the zero Time if absent.
func (t *Token) ExpiresAt() time.Time { return t.expiresAt }

// Bindings returns the members of cnf: what its holder has to prove, in one way for each. Empty for a bearer token.
func (t *Token) Bindings() []Binding { return slices.Clone(t.bindings) }

// Size is about how much memory the Token takes, in bytes, for a Verifier that caches Tokens within a bound.
func (t *Token) Size() int64 {
	const fixed, text, binding = 264, 16, 48
	n := fixed + len(t.payload) + text*(cap(t.audience)+cap(t.scopes)) + binding*cap(t.bindings)
	if strings.Contains(t.payload, `\`) {
		n += len(t.payload) // what had escapes is a copy
	}
	return int64(n)
}

// CheckTime returns why the Token is not in force now, with ErrTokenExpired or ErrTokenNotYetValid; nil if it is, by each of
// exp, nbf and iat that it has. For a Verifier that caches Tokens: it has to ask at each use. Leeway is how far this clock and
// the issuer's may differ.
func (t *Token) CheckTime(now time.Time, leeway time.Duration) error {
	if t.inForce(now, leeway) {
		return nil
	}
	at := jwt.WithTimeFunc(func() time.Time { return now })
	err := jwt.NewValidator(jwt.WithIssuedAt(), jwt.WithLeeway(leeway), at).Validate(claimsOf(t))
	if err == nil {
		return nil
	}
	return &Error{Reason: claimReason(t, err), Err: wrongTime(t, now, leeway), who: t.who()}
}

// inForce tells whether nothing speaks against the times of the token, as golang-jwt sees it.
func (t *Token) inForce(now time.Time, leeway time.Duration) bool {
	return (t.expiresAt.IsZero() || now.Before(t.expiresAt.Add(leeway))) &&
		!now.Before(t.NotBefore().Add(-leeway)) && !now.Before(t.IssuedAt().Add(-leeway))
}

// remembered tells whether a Guard has been given this very Token before: then it was verified for another request. Of the
// requests that one verification is for, only the first is told false.
func (t *Token) remembered() bool { return t.seen.Load() || t.seen.Swap(true) }

// seconds is a date of a token that is remembered, in a third of a time.Time: since 1970, and one more. Zero if absent.
type seconds int64

func (s seconds) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s)-1, 0)
}

// registered are the claims that popauth reads (RFC 7519, RFC 7800, RFC 9068).
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "scp", "cnf"}

// NewToken reads the claims of a token whose Verifier found it genuine: one JSON object, as in a JWT's payload or an
// introspection response. They are kept. Pass on what the issuer wrote, not a struct marshalled again: a cnf that gets
// lost on the way would make a bound token look unbound. The error wraps ErrTokenMalformed or ErrBindingMalformed.
func NewToken(claims []byte) (*Token, error) {
	t := &Token{}
	if _, err := t.read(claims, tokenKinds{}); err != nil {
		return nil, err
	}
	return t, nil
}

// read fills in an empty Token, and returns what its claims say about the kind of token that it is.
func (t *Token) read(claims []byte, want tokenKinds) (evidence, error) {
	return t.fill(claims, want, false)
}

// readAnswer is read for the answer of a server, in which null and an empty aud are other spellings of an absent member.
// A cnf is never absent in another spelling.
func (t *Token) readAnswer(answer []byte, want tokenKinds) (evidence, error) {
	return t.fill(answer, want, true)
}

func (t *Token) fill(claims []byte, want tokenKinds, answer bool) (evidence, error) {
	var e evidence
	t.payload = string(claims)
	text := t.payload
	var scope, scp []string
	scoped := false
	err := strictjson.MembersAt(claims, registered, func(name string, v jsontext.Value, at int) (err error) {
		e.claim(name, text, at, v, want)
		if answer && v.Kind() == 'n' && name != "cnf" {
			return nil
		}
		switch name {
		case "iss":
			t.issuer, err = strictjson.StringAt(text, at, v)
		case "sub":
			t.subject, err = strictjson.StringAt(text, at, v)
		case "jti":
			t.tokenID, err = strictjson.StringAt(text, at, v)
		case "client_id":
			t.clientID, err = strictjson.StringAt(text, at, v)
		case "aud":
			if t.audience, err = oneOrMore(text, at, v); answer && len(t.audience) == 0 {
				t.audience = nil
			}
		case "exp":
			t.expiresAt, err = date(v)
		case "nbf":
			t.notBefore, err = readSeconds(v)
		case "iat":
			t.issuedAt, err = readSeconds(v)
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
		return ofClaim(name, err)
	})
	if err != nil {
		return evidence{}, errorOf(err, ErrTokenMalformed)
	}
	t.scopes = scope
	if !scoped {
		t.scopes = scp
	}
	return e, nil
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
	e, err := t.read(s.Payload, tokenKinds{})
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
	return who{true, t.issuer, t.clientID, t.tokenID, t.bindings}
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

func readSeconds(v jsontext.Value) (seconds, error) {
	s, err := strictjson.Seconds(v)
	if err != nil {
		return 0, err
	}
	return seconds(s + 1), nil
}

func date(v jsontext.Value) (time.Time, error) {
	s, err := readSeconds(v)
	return s.time(), err
}

// AnswerRules say which tokens pass, of those that an authorization server says are active.
type AnswerRules struct {
	_ [0]func()

	// Issuer is the iss of a Token whose answer names none. If empty, it has none.
	Issuer string

	// RequiredClaims are members that every answer about an access token has and those about other tokens don't, as in
	// Options. If nil, none is required.
	RequiredClaims []string
}

// NewTokenFromAnswer reads what an authorization server answers about an active token (RFC 7662, section 2.2): for a Verifier
// that asks one, in whatever way. It is NewToken, but null and an empty aud are other spellings of an absent member, except
// of cnf. Most servers answer for refresh tokens and ID tokens as well, as active as any: what is no access token by its claims
// is refused with ErrTokenType. The Verifier has to hold the rest against what it expects, iss, aud and the time among it.
func NewTokenFromAnswer(answer []byte, rules AnswerRules) (*Token, error) {
	kinds := tokenKinds{required: sortedSet(rules.RequiredClaims)}
	t := &Token{}
	e, err := t.readAnswer(answer, kinds)
	if err != nil {
		return nil, err
	}
	for _, err := range []error{kinds.refuseSaid(e, t), kinds.refuse(e, t), kinds.refuseLack(e, t)} {
		if err != nil {
			return nil, err
		}
	}
	if t.issuer == "" {
		t.issuer = rules.Issuer
	}
	return t, nil
}
