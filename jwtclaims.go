package popauth

import (
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// claims reads the claims of a token, and holds them against the options.
func (v *jwtVerifier) claims(payload []byte, h jose.Header) (*verifiedToken, error) {
	e := &verifiedToken{}
	said, err := e.read(payload, v.kinds)
	if err != nil {
		return nil, err
	}
	if err := v.kinds.check(said, &e.Token, h.Type); err != nil {
		return nil, err
	}
	if err := v.omitted.name(said, &e.Token, v.issuer); err != nil {
		return nil, err
	}
	if err := v.validate(&e.Token); err != nil {
		return nil, err
	}
	return e, nil
}

func (v *jwtVerifier) validate(t *Token) error {
	validator := v.validator
	if v.omitted.audience(t) {
		validator = v.omitted.validator
	}
	err := validator.Validate(claimsOf(t))
	if err == nil {
		return nil
	}
	reason := claimReason(t, err)
	if reason == ErrTokenAudience {
		err = fmt.Errorf("aud is %.100q, and Options.Audience has %q", t.audience, v.audience)
	}
	return &Error{Reason: reason, Err: err, who: t.who()}
}

// claimReason picks the reason out of golang-jwt's joined errors: what is wrong for good comes before the time.
func claimReason(t *Token, err error) Reason {
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return ErrTokenIssuer
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing) && t.expiresAt.IsZero():
		return ErrTokenMalformed
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return ErrTokenAudience
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrTokenExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrTokenNotYetValid
	}
	return ErrTokenInvalid
}

// claims shows a Token to golang-jwt's validator. What was read strictly is not read again, so no getter fails.
type claims struct {
	*Token
	expiresAt, issuedAt, notBefore jwt.NumericDate
}

var _ jwt.Claims = (*claims)(nil)

func claimsOf(t *Token) *claims {
	return &claims{t, jwt.NumericDate{Time: t.ExpiresAt()}, jwt.NumericDate{Time: t.IssuedAt()}, jwt.NumericDate{Time: t.NotBefore()}}
}

func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return ifSet(&c.expiresAt), nil }
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error)       { return ifSet(&c.issuedAt), nil }
func (c *claims) GetNotBefore() (*jwt.NumericDate, error)      { return ifSet(&c.notBefore), nil }
func (c *claims) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claims) GetSubject() (string, error)                  { return c.subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }

// ifSet returns nil for a date that the token doesn't have.
func ifSet(d *jwt.NumericDate) *jwt.NumericDate {
	if d.IsZero() {
		return nil
	}
	return d
}
