package refusals_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// What is no token reaches no Verifier of somebody else's, behind JWTOr neither, however much that would let pass.
func TestMalformedTokenReachesNoOtherVerifier(t *testing.T) {
	l := lab.New(t)
	asked := 0
	careless := lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) {
		asked++
		return popauth.NewToken([]byte(`{"sub":"a"}`))
	})
	own := lab.VerifierOf(t, l.Issuer)
	for name, v := range map[string]popauth.Verifier{"alone": careless, "opaque": popauth.JWTOr(own, careless),
		"jwt": popauth.JWTOr(careless, own)} {
		g := l.OpaqueGuard(v)
		for _, token := range []string{`a"b`, `a"b.c.d`, l.Unbound() + `"`, `e30.e30."`} {
			r := l.Owner.Request("GET", "/", token)
			if o := lab.Send(g.Authenticate, r); o.Status != http.StatusBadRequest || o.Ran || asked > 0 {
				t.Errorf("%s, %s: got %+v and %d calls of the Verifier, want 400 and none", name, token, o, asked)
			}
		}
	}
}

// Wherever it stands, and however long the token is, what is no character of a token is found.
func TestTokenCharacterAnywhere(t *testing.T) {
	asked := ""
	g, err := popauth.New(popauth.Options{Verifier: lab.VerifierFunc(func(_ context.Context, token string) (*popauth.Token, error) {
		asked = token
		return nil, popauth.ErrTokenInvalid
	})})
	if err != nil {
		t.Fatal(err)
	}
	for size := 1; size <= 33; size++ {
		good := strings.Repeat("a", size)
		for at := -1; at < size; at++ {
			token, want := good, popauth.ErrTokenInvalid
			if at >= 0 {
				token, want = good[:at]+`"`+good[at+1:], popauth.ErrCredentialsMalformed
			}
			r := httptest.NewRequest("GET", "/orders", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			asked = ""
			if _, err := g.Check(r); !errors.Is(err, want) || (asked == token) != (at < 0) {
				t.Errorf("%q: got %v, want %v; the Verifier was asked about %q", token, err, want, asked)
			}
		}
	}
}
