package cost_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What a token says is read after its signature is found right, but for its issuer: the claims of a forged one don't count,
// not even as malformed, and to read them would cost the API several signatures.
func TestForgedClaimsAreNotRead(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	l.Genuine(t, g, l.Bound())
	parts := strings.Split(l.Bound(), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	with := func(more string) string {
		changed := strings.TrimSuffix(string(payload), "}") + more + "}"
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(changed)) + "." + parts[2]
	}
	var members strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&members, `,"%03x":0`, i)
	}
	for name, more := range map[string]string{
		"many members": members.String(), "many members of cnf": `,"cnf":{"jkt":"x"` + members.String() + `}`,
		"one twice": `,"sub":"a","sub":"b"`, "nested deeply": `,"x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000),
		"no date": `,"exp":"x"`,
	} {
		t.Run(name, func(t *testing.T) {
			token := with(more)
			l.Forged(t, g, token, popauth.ErrTokenSignature)
			r := l.Owner.Request("GET", "/", token)
			if got := testing.AllocsPerRun(20, func() { _, _ = g.Check(r) }); got > 100 {
				t.Errorf("VULNERABLE: got %.0f allocations for a forged token, want 100 at most", got)
			}
		})
	}
	l.Forged(t, g, parts[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"https://other.example","iss":1}`))+"."+parts[2],
		popauth.ErrTokenIssuer)
}

// Nobody has signed a header when it is read, so that it may hold little: no more values than any honest one has.
func TestCrowdedHeader(t *testing.T) {
	l := lab.New(t, "ES256")
	g := l.Guard()
	members := func(n int) popauthtest.Claims {
		all := popauthtest.Claims{}
		for i := range n {
			all[fmt.Sprint("x", i)] = i
		}
		return all
	}
	scope := popauthtest.Claims{"scope": "orders.read"}
	certificates := popauthtest.Claims{"x5c": []string{strings.Repeat("A", 2000), strings.Repeat("A", 2000), strings.Repeat("A", 2000)}}
	l.Genuine(t, g, l.Issuer.TokenWith(members(50), l.Owner.Bound(), scope))
	l.Genuine(t, g, l.Issuer.TokenWith(certificates, l.Owner.Bound(), scope))
	l.Forged(t, g, l.Issuer.TokenWith(members(65), l.Owner.Bound()), popauth.ErrTokenMalformed)

	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.Accept(t, a.With(a.Key.ProofWith(members(50), "GET", lab.DPoPURL, a.Token)))
	a.RefuseProof(t, a.With(a.Key.ProofWith(members(65), "GET", lab.DPoPURL, a.Token)), popauth.ErrProofMalformed)
}

// A proof by another key than the token's is refused before its signature is looked at: a thief chooses how slow a key is to
// verify by.
func TestAnotherKeysSignatureIsNotLookedAt(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	other := popauthtest.NewProofKey(t, "")
	other.Now = a.Clock.Now
	forged := func(proof string) string {
		return proof[:strings.LastIndexByte(proof, '.')+1] + strings.Repeat("A", 86)
	}
	a.RefuseProof(t, a.With(forged(other.Proof("GET", lab.DPoPURL, a.Token))), popauth.ErrProofKey)
	a.RefuseProof(t, a.With(forged(a.Key.Proof("GET", lab.DPoPURL, a.Token))), popauth.ErrProofSignature)
	a.RefuseProof(t, a.With(forged(a.Key.Proof("GET", lab.DPoPURL, a.Token, popauthtest.Claims{"jti": ""}))), popauth.ErrProofSignature)
}
