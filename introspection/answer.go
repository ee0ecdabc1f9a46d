package introspection

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/discovery"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const signedAnswerType = "token-introspection+jwt"

// read makes a verdict of an answer about a token (RFC 7662, section 2.2). An error means that it is none.
func (i *Verifier) read(ctx context.Context, token string, body []byte, began time.Time) (verdict, error) {
	body = strictjson.TrimMark(body)
	signed := ""
	if i.signed != nil {
		var err error
		if body, signed, err = i.unwrap(ctx, strings.TrimSpace(string(body)), began); err != nil {
			return verdict{}, err
		}
	}
	a, err := readAnswer(body)
	if err != nil {
		return verdict{}, err
	}
	if !a.active {
		return verdict{refusal: &popauth.Error{Reason: popauth.ErrTokenInvalid, Err: errors.New("not active")}}, nil
	}
	t, err := popauth.NewTokenFromAnswer(body, popauth.AnswerRules{Issuer: i.options.Issuer, RequiredClaims: i.options.RequiredClaims})
	if err == nil {
		err = i.unfit(t, a)
	}
	if err != nil {
		return verdict{refusal: err}, nil
	}
	if err := i.answers(token, t, signed); err != nil {
		return verdict{}, err
	}
	return verdict{token: t}, nil
}

// answers returns why an answer can't be about this token; nil if nothing speaks against it. An answer doesn't name the
// token that was asked about (RFC 9701, section 5), so whoever stands between could give that of another.
func (i *Verifier) answers(token string, t *popauth.Token, signed string) error {
	if i.signed != nil {
		// Each answer is about one token. Without its signature, of which an ECDSA key has two for one text. A server that
		// writes no jti may give the same answer about two tokens that are alike, in one second: the second has to wait.
		question := sha256.Sum256([]byte(token))
		if before, seen, _ := i.given.PeekOrAdd(sha256.Sum256([]byte(signed)), question); seen && before != question {
			return errors.New("signed answer about another token, given before")
		}
	}
	if !jose.HasForm(token) {
		return nil
	}
	own, err := readUnverified(token)
	if err != nil {
		return fmt.Errorf("active, but the token can't be read: %w", err)
	}
	if bound := bindingsByName(own); len(bound) > 0 && !slices.Equal(bound, bindingsByName(t)) {
		return errors.New("the token has a cnf, and the answer has not that one: popauth.JWTOr verifies JWTs themselves")
	}
	if i.signed == nil {
		return nil
	}
	for _, c := range []struct{ name, asked, answered string }{
		{"iss", own.Issuer(), t.Issuer()}, {"sub", own.Subject(), t.Subject()}, {"client_id", own.ClientID(), t.ClientID()},
		{"jti", own.TokenID(), t.TokenID()},
		{"exp", unix(own.ExpiresAt()), unix(t.ExpiresAt())}, {"iat", unix(own.IssuedAt()), unix(t.IssuedAt())},
	} {
		if c.asked != "" && c.answered != "" && c.asked != c.answered {
			return fmt.Errorf("signed answer about another token: %s is %.64q, and the token's own is %.64q", c.name, c.answered, c.asked)
		}
	}
	return nil
}

// readUnverified reads what a JWT says, which nobody has verified here.
func readUnverified(token string) (*popauth.Token, error) {
	j, err := jose.Split(token)
	if err != nil {
		return nil, err
	}
	s, err := jose.JWS{Payload: j.Payload}.Decode()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return popauth.NewToken(s.Payload)
}

// bindingsByName are those of a token, of which no two have the same name.
func bindingsByName(t *popauth.Token) []popauth.Binding {
	return slices.SortedFunc(slices.Values(t.Bindings()), func(a, b popauth.Binding) int { return cmp.Compare(a.Member, b.Member) })
}

// unix is a date for comparison; "" if absent.
func unix(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// unwrap takes the answer out of a signed one (RFC 9701, section 5), and returns what was signed as well. A plain answer
// is a downgrade.
func (i *Verifier) unwrap(ctx context.Context, answer string, began time.Time) (inner []byte, signed string, err error) {
	t, err := i.signed.Verify(ctx, answer)
	if err != nil {
		return nil, "", err
	}
	if t.IssuedAt().Before(began.Add(-i.options.Leeway).Truncate(time.Second)) {
		return nil, "", errors.New("signed answer without iat, or of an earlier call")
	}
	if len(t.Bindings()) > 0 {
		return nil, "", errors.New("signed answer with a cnf outside of it, which would get lost") // RFC 9701, section 5
	}
	j, err := jose.Split(answer)
	if err != nil {
		return nil, "", err
	}
	s, err := jose.JWS{Payload: j.Payload}.Decode() // what was verified
	if err != nil {
		return nil, "", err
	}
	defer s.Close()
	const name = "token_introspection"
	err = strictjson.Members(s.Payload, []string{name}, func(member string, v jsontext.Value) error {
		if member == name {
			inner = v.Clone()
		}
		return nil
	})
	if err != nil || inner == nil {
		return nil, "", errors.New("signed answer without " + name)
	}
	return inner, j.Signed, nil
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
			if v.Kind() != 'n' {
				a.tokenType, err = strictjson.String(v)
			}
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

// unfit returns why this API can't accept an active access token; nil if it can.
func (i *Verifier) unfit(t *popauth.Token, a introspected) error {
	keyed := slices.ContainsFunc(t.Bindings(), func(b popauth.Binding) bool { return b.Member == "jkt" })
	switch strings.ToLower(a.tokenType) { // RFC 6749, section 5.1: in any case
	case "":
	case "dpop": // RFC 9449, section 6.2
		if !keyed {
			return &popauth.Error{Reason: popauth.ErrBindingMalformed, Err: errors.New("token_type DPoP without jkt")}
		}
	default: // another name of an access token, as NewTokenFromAnswer has seen
		if keyed {
			return &popauth.Error{Reason: popauth.ErrBindingMalformed, Err: errors.New("jkt, but token_type is not DPoP")}
		}
	}
	if t.Issuer() != i.options.Issuer {
		return &popauth.Error{Reason: popauth.ErrTokenIssuer, Err: fmt.Errorf("iss is %.200q, want %q", t.Issuer(), i.options.Issuer)}
	}
	audience := t.Audience()
	if audience == nil && i.options.AllowMissingAudience {
		return nil
	}
	if !slices.ContainsFunc(i.options.Audience, func(name string) bool { return slices.Contains(audience, name) }) {
		return &popauth.Error{Reason: popauth.ErrTokenAudience,
			Err: fmt.Errorf("aud is %.200s, and Options.Audience has %q", fmt.Sprintf("%q", audience), i.options.Audience)}
	}
	return nil
}

// isUnsupported tells whether a refusal is about the token, not about the call (RFC 7009, section 2.2.1).
func isUnsupported(body []byte) bool {
	code, err := discovery.MemberOf(body, "error")
	return err == nil && code == "unsupported_token_type"
}
