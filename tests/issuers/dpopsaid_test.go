package issuers_test

import (
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A token that says DPoP has a jkt. Without one its binding got lost on the way, or its client has Keycloak's switches for
// both bindings on: JWT and introspection say so alike, whoever sends it and under whatever typ.
func TestSaysDPoP(t *testing.T) {
	l := lab.New(t, "ES256")
	v, err := introspection.New(lab.IntrospectionOptions(l.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	jkt := popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": strings.Repeat("A", 43)}}
	for _, place := range []string{"typ", "token_type", "token_use", "tokenType"} {
		for _, word := range []string{"DPoP", "dpop", "DPOP"} {
			said := popauthtest.Claims{"scope": "orders.read", place: word}
			for name, tt := range map[string]struct {
				cnf  popauthtest.Claims
				want popauth.Reason
			}{
				"no binding":  {want: popauth.ErrBindingMalformed},
				"certificate": {cnf: l.Owner.Bound(), want: popauth.ErrBindingMalformed},
				"key":         {cnf: jkt, want: popauth.ErrBindingUnknown}, // there is no Confirmer for it here
			} {
				ways := map[string]decided{}
				for _, typ := range []string{"JWT", "at+jwt"} {
					o := own(t, l.Issuer)
					o.TokenTypes, o.Now = []string{typ}, l.Clock.Now
					ways[typ] = decide(t, o, l.Issuer.TokenWith(popauthtest.Claims{"typ": typ}, said, tt.cnf))
				}
				answer := popauthtest.Claims{"token_type": "DPoP"}
				ways["introspection"] = decide(t, popauth.Options{Verifier: v, Now: l.Clock.Now}, l.Issuer.Opaque(said, answer, tt.cnf))
				for way, d := range ways {
					if d.as != nil || d.reason != tt.want {
						t.Errorf("%s %s, %s, %s: got %q (%s), ran %t, want %q", place, word, name, way, d.reason, d.text, d.as != nil,
							tt.want)
					}
				}
			}
		}
	}
	// With the key, and its proof, it passes as ever; with the marker that Keycloak writes beside it, too.
	key := popauthtest.NewProofKey(t, "")
	o := own(t, l.Issuer)
	o.Now, o.Confirmers = l.Clock.Now, []popauth.Confirmer{popauth.MutualTLS{}, lab.Proofs(dpop.Options{})}
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	cnf := key.Bound()["cnf"].(popauthtest.Claims)
	cnf["kc-jkt-type"] = "DPoP"
	token := l.Issuer.TokenWith(popauthtest.Claims{"typ": "JWT"},
		popauthtest.Claims{"typ": "DPoP", "azp": "web", "scope": "openid", "cnf": cnf})
	if got := lab.Send(g.Confirm, key.Request("GET", lab.DPoPURL, token, popauthtest.Claims{"iat": l.Clock.Now().Unix()})); !got.Ran {
		t.Errorf("bound, with a proof: got %d %q", got.Status, got.Challenges)
	}
	// What hints at anything else says nothing of a binding.
	for _, place := range []string{"type", "use", "purpose"} {
		o := own(t, l.Issuer)
		o.Now = l.Clock.Now
		d := decide(t, o, l.Issuer.TokenWith(popauthtest.Claims{"typ": "JWT"}, popauthtest.Claims{"scope": "orders.read", place: "DPoP"}))
		if d.as == nil {
			t.Errorf("%s: %s", place, d.text)
		}
	}
}
