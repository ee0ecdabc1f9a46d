package popauth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Principal is who a request comes from: the claims of a token that is genuine, meant for this API and, where it is
// bound, in the right hands.
type Principal struct {
	Issuer, Subject, ClientID, TokenID string // iss, sub, client_id, jti; "" if absent
	Audience, Scopes                   []string
	IssuedAt, ExpiresAt                time.Time // zero if absent

	// Bindings are the members of cnf; possession was proven for every one of them. Empty for a bearer token.
	Bindings []Binding

	// Certificate is the caller's; nil if it has none. It need not be what the token is bound to: see Bindings.
	Certificate *Certificate

	payload string
	clock   clock // of the Guard, while its policies look; else zero
}

// clock tells the time, and how far the issuer's may differ from it.
type clock struct {
	now    func() time.Time
	leeway time.Duration
}

// principal returns a Principal that its owner may change.
func (t *Token) principal(c *Certificate) *Principal {
	p := t.view(c)
	return p.clone()
}

// view returns a Principal that shares what it consists of with t and c.
func (t *Token) view(c *Certificate) Principal {
	return Principal{
		Issuer: t.issuer, Subject: t.subject, ClientID: t.clientID, TokenID: t.tokenID,
		Audience: t.audience, Scopes: t.scopes, IssuedAt: t.IssuedAt(), ExpiresAt: t.ExpiresAt(),
		Bindings: t.bindings, Certificate: c, payload: t.payload,
	}
}

// clone returns a Principal that its owner may change.
func (p *Principal) clone() *Principal {
	own := *p
	own.Certificate = p.Certificate.clone()
	own.Audience, own.Scopes, own.Bindings = slices.Clone(p.Audience), slices.Clone(p.Scopes), slices.Clone(p.Bindings)
	return &own
}

// asOfNow returns a Principal that its owner may change, with the certificate as it stands now.
func (p *Principal) asOfNow() *Principal {
	own := p.clone()
	own.Certificate = p.Certificate.at(time.Now()).clone()
	return own
}

// Claims decodes the claims of the principal's token into a T, whatever the token has beyond Principal's fields.
// Names must fit to the letter, upper and lower case included: give the fields of T json tags. It is an error if p
// has no claims, as one that was made by hand.
func Claims[T any](p *Principal) (T, error) {
	var claims T
	if p == nil || p.payload == "" {
		return claims, errors.New("popauth: Claims: a principal without a token")
	}
	if err := json.Unmarshal([]byte(p.payload), &claims); err != nil {
		var zero T
		return zero, fmt.Errorf("popauth: Claims: %w", err)
	}
	return claims, nil
}
