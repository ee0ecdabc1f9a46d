package popauth_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Everything that is wrong is reported at once, beside what is wrong with the rest of the options.
func TestDPoPOptions(t *testing.T) {
	_, err := popauth.New(popauth.Options{
		Confirmers: []popauth.Confirmer{popauth.DPoP{
			MaxAge: time.Hour, Leeway: -1, Algorithms: []string{"HS256", "none"},
			Nonces: popauth.StatelessNonces{MaxAge: time.Second, Secrets: [][]byte{{1}}},
		}},
		Leeway: time.Hour,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"DPoP.MaxAge: 1h0m0s is not between 1s and 10m0s", "DPoP.Leeway: -1ns is not between 0 and 5m0s",
		`DPoP.Algorithms: "HS256"`, `DPoP.Algorithms: "none"`, "StatelessNonces.MaxAge: 1s is not between 10s and 1h0m0s",
		"StatelessNonces.Secrets: entry 0 has 1 bytes, not 32 or more", "Options.Leeway", "Options.Issuer", "Options.Audience",
	} {
		if !strings.Contains(err.Error(), "popauth: "+want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
	issuer := popauthtest.NewIssuer(t)
	for name, c := range map[string]popauth.Confirmer{
		"nil pointer":       (*popauth.DPoP)(nil),
		"pointer, MaxAge":   &popauth.DPoP{MaxAge: -1},
		"MaxAge too short":  popauth.DPoP{MaxAge: time.Millisecond},
		"Leeway too long":   popauth.DPoP{Leeway: 5*time.Minute + 1},
		"Leeway and MaxAge": popauth.DPoP{Leeway: 5 * time.Minute, MaxAge: 6*time.Minute + 1},
		"no algorithm":      popauth.DPoP{Algorithms: []string{}},
		"no secret":         popauth.DPoP{Nonces: popauth.StatelessNonces{}},
		"empty secret":      popauth.DPoP{Nonces: popauth.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32), nil}}},
		"short secret":      popauth.DPoP{Nonces: popauth.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 31)}}},
		"nonces too long":   popauth.DPoP{Nonces: &popauth.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, MaxAge: 2 * time.Hour}},
		"nil nonce pointer": popauth.DPoP{Nonces: (*popauth.StatelessNonces)(nil)},
	} {
		o := issuer.Options()
		o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, c}
		if _, err := popauth.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	o := issuer.Options()
	o.Confirmers = []popauth.Confirmer{popauth.DPoP{}, &popauth.DPoP{}}
	if _, err := popauth.New(o); err == nil {
		t.Error("two for one member: no error")
	}
	given := []popauth.Confirmer{popauth.DPoP{}}
	o.Confirmers = given
	if _, err := popauth.New(o); err != nil || given[0].(popauth.DPoP).Replay != nil {
		t.Errorf("the caller's list was changed, or %v", err)
	}
}

// What is wrong by itself is not wrong in the sum once more.
func TestDPoPAgeOfItsOwn(t *testing.T) {
	o := popauthtest.NewIssuer(t).Options()
	o.Confirmers = []popauth.Confirmer{popauth.DPoP{MaxAge: time.Hour, Leeway: time.Second}}
	_, err := popauth.New(o)
	if err == nil || !strings.Contains(err.Error(), "DPoP.MaxAge: ") || strings.Contains(err.Error(), "DPoP.Leeway: ") {
		t.Errorf("got %v, want MaxAge alone", err)
	}
}

func TestDPoPOptionsAreCopied(t *testing.T) {
	algorithms := []string{"ES256"}
	a := newDPoPAPI(t, popauth.DPoP{Algorithms: algorithms})
	algorithms[0] = "RS256"
	a.accept(t, a.request())
	want := `DPoP error="invalid_dpop_proof", error_description="The DPoP proof is malformed", algs="ES256"`
	r := a.request()
	r.Header.Set("DPoP", rand.Text())
	a.refuse(t, r, popauth.ErrProofMalformed, 401, want, "Bearer")
}
