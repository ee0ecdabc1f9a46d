package popauthtest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// Principal returns who a request of this client comes from, with a token that has these claims, for the unit test of a handler:
// popauth.FromContext finds it in popauth.NewContext, and popauth.Claims reads all of the claims. They add to those that
// [Issuer.Token] writes, with the iss https://issuer.example, and override them. Nothing is verified, and no Guard trusts it: a test of
// who gets in needs a Guard, and a token of an Issuer. It panics if the claims are those of no token.
//
//	r = r.WithContext(popauth.NewContext(r.Context(), owner.Principal(popauthtest.Claims{"scope": "orders.read", "tenant": 7})))
func (c *Client) Principal(claims ...Claims) *popauth.Principal {
	now := time.Now()
	all := merge(append([]Claims{{
		"iss": "https://issuer.example", "aud": Audience, "sub": "client-1", "client_id": "client-1",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "1",
	}, c.Bound()}, claims...)...)
	payload, err := json.Marshal(all)
	if err != nil {
		panic("popauthtest: Principal: " + err.Error())
	}
	token, err := popauth.NewToken(payload)
	if err != nil {
		panic("popauthtest: Principal: " + err.Error())
	}
	o := popauth.Options{Verifier: oneToken{token}, Confirmers: []popauth.Confirmer{}}
	for _, b := range token.Bindings() {
		o.Confirmers = append(o.Confirmers, confirmAll(b.Member))
	}
	guard, err := popauth.New(o)
	if err != nil {
		panic("popauthtest: Principal: " + err.Error())
	}
	p, err := guard.Check(c.Request(http.MethodGet, "/", "token"))
	if err != nil {
		panic("popauthtest: Principal: " + err.Error())
	}
	return p
}

// oneToken is a Verifier to which all tokens are that one.
type oneToken struct{ token *popauth.Token }

// Verify implements popauth.Verifier.
func (v oneToken) Verify(context.Context, string) (*popauth.Token, error) { return v.token, nil }

// confirmAll is a Confirmer for a member of cnf that confirms everything.
type confirmAll string

// Member implements popauth.Confirmer.
func (m confirmAll) Member() string { return string(m) }

// TakesObjects tells that objects are fine, too.
func (confirmAll) TakesObjects() bool { return true }

// Confirm implements popauth.Confirmer.
func (confirmAll) Confirm(*http.Request, popauth.Presentation) error { return nil }
