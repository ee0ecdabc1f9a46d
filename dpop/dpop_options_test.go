package dpop_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Everything that is wrong is reported at once.
func TestDPoPOptions(t *testing.T) {
	_, err := dpop.New(dpop.Options{
		MaxAge: time.Hour, Leeway: -1, Algorithms: []string{"HS256", "none"},
		Nonces: dpop.StatelessNonces{MaxAge: time.Second, Secrets: [][]byte{{1}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"dpop: Options.MaxAge: 1h0m0s is not between 1s and 10m0s", "dpop: Options.Leeway: -1ns is not between 0 and 5m0s",
		`dpop: Options.Algorithms: "HS256"`, `dpop: Options.Algorithms: "none"`,
		"dpop: StatelessNonces.MaxAge: 1s is not between 10s and 1h0m0s",
		"dpop: StatelessNonces.Secrets: entry 0 has 1 bytes, not 32 or more",
		"dpop: Options.BaseURL: empty, and URL is nil: set BaseURL to ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
	for name, o := range map[string]dpop.Options{
		"no name":           {},
		"BaseURL and URL":   {URL: dpop.RequestURL},
		"MaxAge negative":   {MaxAge: -1},
		"MaxAge too short":  {MaxAge: time.Millisecond},
		"Leeway too long":   {Leeway: 5*time.Minute + 1},
		"Leeway and MaxAge": {Leeway: 5 * time.Minute, MaxAge: 6*time.Minute + 1},
		"no algorithm":      {Algorithms: []string{}},
		"no secret":         {Nonces: dpop.StatelessNonces{}},
		"empty secret":      {Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32), nil}}},
		"short secret":      {Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 31)}}},
		"nonces too long":   {Nonces: &dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, MaxAge: 2 * time.Hour}},
		"nil nonce pointer": {Nonces: (*dpop.StatelessNonces)(nil)},
	} {
		if o.BaseURL = "https://api.example.com"; name == "no name" {
			o.BaseURL = ""
		}
		if d, err := dpop.New(o); err == nil || d != nil {
			t.Errorf("%s: got %v, %v, want an error", name, d, err)
		}
	}
	issuer := popauthtest.NewIssuer(t)
	for name, list := range map[string][]popauth.Confirmer{
		"nil pointer":        {popauth.MutualTLS{}, (*dpop.Confirmer)(nil)},
		"two for one member": {lab.Proofs(dpop.Options{}), lab.Proofs(dpop.Options{})},
	} {
		o := issuer.Options()
		o.Confirmers = list
		if _, err := popauth.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What is wrong by itself is not wrong in the sum once more.
func TestDPoPAgeOfItsOwn(t *testing.T) {
	_, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com", MaxAge: time.Hour, Leeway: time.Second})
	if err == nil || !strings.Contains(err.Error(), "dpop: Options.MaxAge: ") || strings.Contains(err.Error(), "dpop: Options.Leeway: ") {
		t.Errorf("got %v, want MaxAge alone", err)
	}
}

func TestDPoPOptionsAreCopied(t *testing.T) {
	algorithms := []string{"ES256"}
	a := lab.NewDPoPAPI(t, dpop.Options{Algorithms: algorithms})
	algorithms[0] = "RS256"
	a.Accept(t, a.Request())
	want := `DPoP error="invalid_dpop_proof", error_description="The DPoP proof is malformed", algs="ES256"`
	r := a.Request()
	r.Header.Set("DPoP", rand.Text())
	a.Refuse(t, r, popauth.ErrProofMalformed, 401, want, "Bearer")
}
