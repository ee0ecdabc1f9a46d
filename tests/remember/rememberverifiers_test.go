package remember_test

import (
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Tokens are remembered behind JWTOr and Issuers too, and by nobody but their own issuer's Verifier.
func TestRememberedBehindOtherVerifiers(t *testing.T) {
	a, b := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	owner, thief, key := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief"), popauthtest.NewProofKey(t, "")
	tenants := lab.NewIssuers(t, issuers.Options{Verifiers: map[string]popauth.Verifier{
		a.URL: lab.VerifierOf(t, a), b.URL: lab.VerifierOf(t, b),
	}})
	g, err := popauth.New(popauth.Options{
		Observe:    lab.Note,
		Verifier:   popauth.JWTOr(tenants, tenants),
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})},
	})
	if err != nil {
		t.Fatal(err)
	}
	ofA, ofB := a.Token(owner.Bound()), b.Token(owner.Bound())
	forged := b.Token(owner.Bound(), popauthtest.Claims{"iss": a.URL})
	for _, seen := range []bool{false, true, true} {
		lab.Remembers(t, g, owner.Request("GET", "/", ofA), seen)
		lab.Remembers(t, g, owner.Request("GET", "/", ofB), seen)
		lab.Remembers(t, g, owner.Request("GET", "/", forged), popauth.ErrTokenKey)
		lab.Remembers(t, g, thief.Request("GET", "/", ofA), popauth.ErrCertificateMismatch)
	}

	proven, other := a.Token(key.Bound()), a.Token(key.Bound(), popauthtest.Claims{"scope": "other"})
	for _, seen := range []bool{false, true, true} {
		lab.Remembers(t, g, key.Request("GET", "https://api.example.com/", proven), seen)
		r := key.Request("GET", "https://api.example.com/", other)
		r.Header.Set("Authorization", "DPoP "+proven)
		lab.Remembers(t, g, r, popauth.ErrProofToken)
	}

	own, err := tenants.Verify(t.Context(), ofB)
	if err != nil {
		t.Fatal(err)
	}
	own.Audience()[0] = "meddled with"
	lab.Remembers(t, g, owner.Request("GET", "/", ofB), true)

	tenants.Remove(a.URL)
	lab.Remembers(t, g, owner.Request("GET", "/", ofA), popauth.ErrTokenIssuer)
	lab.Remembers(t, g, owner.Request("GET", "/", ofB), true)
	if err := tenants.Add(a.URL, lab.VerifierOf(t, a)); err != nil {
		t.Fatal(err)
	}
	lab.Remembers(t, g, owner.Request("GET", "/", ofA), false)
}
