package clientauth_test

import (
	"encoding/json"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestConfirmation(t *testing.T) {
	// RFC 7638, section 3.1, and RFC 9449, section 6.1.
	for in, want := range map[string]string{
		`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n` +
			`3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5` +
			`hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"` +
			`AQAB","alg":"RS256","kid":"2011-04-29"}`: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		`{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"` +
			`}`: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
	} {
		got, err := clientauth.ConfirmationJWK([]byte(in))
		if err != nil || got != (clientauth.Confirmation{JKT: want}) {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
		if raw, _ := json.Marshal(got); string(raw) != `{"jkt":"`+want+`"}` {
			t.Errorf("got %s", raw)
		}
	}
	for _, in := range []string{``, `{}`, `{"kty":"oct","k":"AA"}`,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AA"}`} {
		if got, err := clientauth.ConfirmationJWK([]byte(in)); err == nil || got != (clientauth.Confirmation{}) {
			t.Errorf("%s: got %v, want an error", in, got)
		}
	}
	for _, c := range []*clientauth.Client{nil, {}, {Certificate: &popauth.Certificate{}}} {
		if got := c.Confirmation(); got != (clientauth.Confirmation{}) {
			t.Errorf("%v: got %v, want none", c, got)
		}
	}
	empty, err := json.Marshal(struct {
		Confirmation clientauth.Confirmation `json:"cnf,omitzero"`
	}{})
	if err != nil || string(empty) != `{}` {
		t.Errorf("got %s, want no cnf", empty)
	}
}

// What is issued here is accepted there, from the same client and from no other.
func TestConfirmationIsWhatAGuardConfirms(t *testing.T) {
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(popauthtest.Claims{"cnf": clientauth.ConfirmationX509(owner.Certificate.Leaf)})
	if _, err := guard.Check(owner.Request("GET", "/", token), popauth.Bound()); err != nil {
		t.Errorf("owner: %v", err)
	}
	if _, err := guard.Check(thief.Request("GET", "/", token), popauth.Bound()); err == nil {
		t.Error("VULNERABLE: the thief was accepted")
	}
}
