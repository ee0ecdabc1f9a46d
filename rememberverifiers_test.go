package popauth_test

import (
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Tokens are remembered behind JWTOr and Issuers too, and by nobody but their own issuer's Verifier.
func TestRememberedBehindOtherVerifiers(t *testing.T) {
	a, b := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	owner, thief, key := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief"), popauthtest.NewProofKey(t, "")
	tenants := newIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{
		a.URL: jwtVerifierOf(t, a), b.URL: jwtVerifierOf(t, b),
	}})
	g, err := popauth.New(popauth.Options{
		Verifier:   popauth.JWTOr(tenants, tenants),
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs(dpop.Options{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	ofA, ofB := a.Token(owner.Bound()), b.Token(owner.Bound())
	forged := b.Token(owner.Bound(), popauthtest.Claims{"iss": a.URL})
	for _, seen := range []bool{false, true, true} {
		remembers(t, g, owner.Request("GET", "/", ofA), seen)
		remembers(t, g, owner.Request("GET", "/", ofB), seen)
		remembers(t, g, owner.Request("GET", "/", forged), popauth.ErrTokenKey)
		remembers(t, g, thief.Request("GET", "/", ofA), popauth.ErrCertificateMismatch)
	}

	proven, other := a.Token(key.Bound()), a.Token(key.Bound(), popauthtest.Claims{"scope": "other"})
	for _, seen := range []bool{false, true, true} {
		remembers(t, g, key.Request("GET", "https://api.example.com/", proven), seen)
		r := key.Request("GET", "https://api.example.com/", other)
		r.Header.Set("Authorization", "DPoP "+proven)
		remembers(t, g, r, popauth.ErrProofToken)
	}

	own, err := tenants.Verify(t.Context(), ofB)
	if err != nil {
		t.Fatal(err)
	}
	own.Audience()[0] = "meddled with"
	remembers(t, g, owner.Request("GET", "/", ofB), true)

	tenants.Remove(a.URL)
	remembers(t, g, owner.Request("GET", "/", ofA), popauth.ErrTokenIssuer)
	remembers(t, g, owner.Request("GET", "/", ofB), true)
	if err := tenants.Add(a.URL, jwtVerifierOf(t, a)); err != nil {
		t.Fatal(err)
	}
	remembers(t, g, owner.Request("GET", "/", ofA), false)
}
