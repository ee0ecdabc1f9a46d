package popauth

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/settings"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// claims reads the claims of a token, and holds them against the options.
func (v *jwtVerifier) claims(payload []byte, h jose.Header) (*verifiedToken, error) {
	e := &verifiedToken{}
	said, err := e.Value.read(payload, v.kinds)
	if err != nil {
		return nil, err
	}
	if err := v.kinds.check(said, &e.Value, h.Type); err != nil {
		return nil, err
	}
	if err := v.omitted.name(said, &e.Value, v.issuer); err != nil {
		return nil, err
	}
	if err := v.validate(&e.Value); err != nil {
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
	switch reason {
	case ErrTokenAudience:
		err = v.wrongAudience(t)
	case ErrTokenExpired, ErrTokenNotYetValid:
		err = wrongTime(t, v.now(), v.leeway)
	case ErrTokenMalformed:
		err = errNoExpiration
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

// omissions are the settings for what an issuer leaves out of its JWTs, or writes elsewhere. The zero omissions admit none.
type omissions struct {
	clientClaim string         // that names the client; "": client_id, which need not be there
	clients     []string       // whose tokens may lack aud
	svids       bool           // no iss, and a sub of the trust domain
	validator   *jwt.Validator // that doesn't ask for aud
}

var (
	trustDomain  = regexp.MustCompile(`^spiffe://[a-z0-9._-]+$`)                           // SPIFFE-ID, section 2.1
	workloadPath = regexp.MustCompile(`^(/(\.{0,2}[A-Za-z0-9_-]|\.{3})[A-Za-z0-9._-]*)+$`) // section 2.2: no segment is empty, . or ..
)

// completeOmissions reports what is wrong with the settings.
func completeOmissions(o JWTOptions, problem settings.Problem) omissions {
	if o.ClientClaim != "client_id" && slices.Contains(registered, o.ClientClaim) {
		problem("ClientClaim", "%q says something else in every token, such as who the user is", o.ClientClaim)
	}
	if slices.Contains(o.ClientsWithoutAudience, "") {
		problem("ClientsWithoutAudience", "has an empty entry, which would be any client's")
	}
	if o.JWTSVIDs && !trustDomain.MatchString(o.Issuer) {
		problem("JWTSVIDs", "Issuer is %q, and has to be the trust domain, such as spiffe://example.org", o.Issuer)
	}
	return omissions{clientClaim: o.ClientClaim, clients: slices.Clone(o.ClientsWithoutAudience), svids: o.JWTSVIDs}
}

// mayBe tells whether a token with this iss may be the issuer's; nil if it has none.
func (o omissions) mayBe(iss []byte, issuer string) bool {
	if o.svids {
		return iss == nil
	}
	return string(iss) == issuer
}

// name fills in the client and the issuer from where the settings say that they are. What is not there is not looked for
// elsewhere.
func (o omissions) name(e evidence, t *Token, issuer string) error {
	if o.clientClaim != "" {
		switch {
		case e.folded: // another reader would take that one, as encoding/json does
			return malformed(strictjson.ErrFolded)
		case e.named == "":
			return &Error{Reason: ErrTokenType, Err: &Mismatch{What: mismatch.Own(o.clientClaim), Got: mismatch.Absent,
				Want:   "the client's name",
				Advice: "set Options.ClientClaim to the claim in which this issuer names the client, see docs/issuers.md"}}
		case t.clientID != "" && t.clientID != e.named:
			return malformed(fmt.Errorf("client_id is %.64q, and %s is %.64q", t.clientID, o.clientClaim, e.named))
		}
		t.clientID = e.named
	}
	if o.svids {
		if len(t.subject) <= len(issuer) || t.subject[:len(issuer)] != issuer || !workloadPath.MatchString(t.subject[len(issuer):]) {
			return &Error{Reason: ErrTokenIssuer, Err: &Mismatch{
				What: "sub", Got: mismatch.Text(t.subject), Want: "a SPIFFE ID of " + mismatch.Own(issuer),
			}}
		}
		t.issuer = issuer
	}
	return nil
}

// audience tells whether a token has no aud, as it may.
func (o omissions) audience(t *Token) bool {
	return len(t.audience) == 0 && slices.Contains(o.clients, t.clientID)
}
