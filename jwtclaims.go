package popauth

import (
	"github.com/golang-jwt/jwt/v5"
)

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
