package jwk_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

const (
	ecX = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"
	ecY = "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
	edX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
)

// modulus is an n of that many bytes; it need not be a product of two primes here.
func modulus(size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0xff
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestPublishedThumbprints(t *testing.T) {
	data, err := os.ReadFile("testdata/thumbprints.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Source, Thumbprint string
		JWK                json.RawMessage
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 5 {
		t.Fatal(len(vectors), err)
	}
	for _, v := range vectors {
		k, err := jwk.Read(v.JWK)
		if got := base64.RawURLEncoding.EncodeToString(k.Thumbprint[:]); err != nil || got != v.Thumbprint {
			t.Errorf("%s: got %s, %v, want %s", v.Source, got, err, v.Thumbprint)
		}
	}
}

func TestRead(t *testing.T) {
	ec := func(members string) string { return `{"kty":"EC",` + members + `}` }
	for name, test := range map[string]struct {
		in   string
		want error // nil: accepted
	}{
		"EC":            {in: ec(`"crv":"P-256","x":"` + ecX + `","y":"` + ecY + `"`)},
		"OKP":           {in: `{"kty":"OKP","crv":"Ed25519","x":"` + edX + `"}`},
		"RSA":           {in: `{"kty":"RSA","n":"` + modulus(256) + `","e":"AQAB"}`},
		"RSA 8192 bits": {in: `{"kty":"RSA","n":"` + modulus(1024) + `","e":"Aw"}`},
		"what it is for": {in: `{"kty":"OKP","crv":"Ed25519","x":"` + edX +
			`","kid":"1","use":"enc","alg":"x","key_ops":[],"x5c":[1]}`},
		"null":              {in: `null`, want: errAny},
		"string":            {in: `"x"`, want: errAny},
		"number":            {in: `1`, want: errAny},
		"true":              {in: `true`, want: errAny},
		"array":             {in: `[]`, want: errAny},
		"empty object":      {in: `{}`, want: jwk.ErrKind},
		"kty number":        {in: `{"kty":1}`, want: errAny},
		"oct":               {in: `{"kty":"oct"}`, want: jwk.ErrKind},
		"oct with k":        {in: `{"kty":"oct","k":"AAAA"}`, want: jwk.ErrPrivate},
		"kty in lower case": {in: `{"kty":"ec","crv":"P-256","x":"` + ecX + `","y":"` + ecY + `"}`, want: jwk.ErrKind},
		"kty twice":         {in: `{"kty":"oct","kty":"OKP","crv":"Ed25519","x":"` + edX + `"}`, want: errAny},
		"member folded":     {in: ec(`"crv":"P-256","x":"` + ecX + `","y":"` + ecY + `","D":"AA"`), want: errAny},
		"EC no crv":         {in: ec(`"x":"` + ecX + `","y":"` + ecY + `"`), want: jwk.ErrKind},
		"EC P-521 values":   {in: ec(`"crv":"P-521","x":"` + ecX + `","y":"` + ecY + `"`), want: jwk.ErrValue},
		"EC secp256k1":      {in: ec(`"crv":"secp256k1","x":"` + ecX + `","y":"` + ecY + `"`), want: jwk.ErrKind},
		"EC no y":           {in: ec(`"crv":"P-256","x":"` + ecX + `"`), want: jwk.ErrValue},
		"EC off the curve":  {in: ec(`"crv":"P-256","x":"` + ecX + `","y":"` + ecX + `"`), want: jwk.ErrValue},
		"EC zero": {in: ec(`"crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"`),
			want: jwk.ErrValue},
		"EC x padded": {in: ec(`"crv":"P-256","x":"` + ecX + `=","y":"` + ecY + `"`), want: jwk.ErrValue},
		"EC x std alphabet": {in: ec(`"crv":"P-256","x":"` + strings.ReplaceAll(ecX, "-", "+") + `","y":"` + ecY + `"`),
			want: jwk.ErrValue},
		"EC x line break":    {in: ec(`"crv":"P-256","x":"` + ecX + `\n","y":"` + ecY + `"`), want: jwk.ErrValue},
		"EC x other bits":    {in: ec(`"crv":"P-256","x":"` + ecX[:42] + `t","y":"` + ecY + `"`), want: jwk.ErrValue},
		"EC x leading zero":  {in: ec(`"crv":"P-256","x":"AA` + ecX + `","y":"` + ecY + `"`), want: jwk.ErrValue},
		"EC x number":        {in: ec(`"crv":"P-256","x":1,"y":"` + ecY + `"`), want: errAny},
		"OKP X25519":         {in: `{"kty":"OKP","crv":"X25519","x":"` + edX + `"}`, want: jwk.ErrKind},
		"OKP Ed448":          {in: `{"kty":"OKP","crv":"Ed448","x":"` + edX + `"}`, want: jwk.ErrKind},
		"OKP short":          {in: `{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`, want: jwk.ErrValue},
		"RSA no e":           {in: `{"kty":"RSA","n":"` + modulus(256) + `"}`, want: jwk.ErrValue},
		"RSA e 1":            {in: `{"kty":"RSA","n":"` + modulus(256) + `","e":"AQ"}`, want: jwk.ErrValue},
		"RSA e even":         {in: `{"kty":"RSA","n":"` + modulus(256) + `","e":"BA"}`, want: jwk.ErrValue},
		"RSA e leading zero": {in: `{"kty":"RSA","n":"` + modulus(256) + `","e":"AAEAAQ"}`, want: jwk.ErrValue},
		"RSA e large":        {in: `{"kty":"RSA","n":"` + modulus(256) + `","e":"_____w"}`, want: jwk.ErrValue},
		"RSA no n":           {in: `{"kty":"RSA","e":"AQAB"}`, want: jwk.ErrValue},
		"RSA n zero":         {in: `{"kty":"RSA","n":"AA","e":"AQAB"}`, want: jwk.ErrValue},
		"RSA 8200 bits":      {in: `{"kty":"RSA","n":"` + modulus(1025) + `","e":"AQAB"}`, want: jwk.ErrValue},
	} {
		t.Run(name, func(t *testing.T) { expect(t, test.in, test.want) })
	}
	// The same bytes, cut elsewhere, would be the same point under another thumbprint.
	x, _ := base64.RawURLEncoding.DecodeString(ecX)
	y, _ := base64.RawURLEncoding.DecodeString(ecY)
	expect(t, ec(`"crv":"P-256","x":"`+base64.RawURLEncoding.EncodeToString(x[:31])+`","y":"`+
		base64.RawURLEncoding.EncodeToString(append(x[31:], y...))+`"`), jwk.ErrValue)
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		for _, value := range []string{`"AA"`, `""`, `null`, `[]`} {
			t.Run(private+" "+value, func(t *testing.T) {
				expect(t, `{"kty":"OKP","crv":"Ed25519","x":"`+edX+`","`+private+`":`+value+`}`, jwk.ErrPrivate)
			})
		}
	}
}

var errAny = errors.New("any error")

func expect(t *testing.T, in string, want error) {
	t.Helper()
	k, err := jwk.Read([]byte(in))
	switch {
	case want == nil && (err != nil || k.Public == nil):
		t.Errorf("got %v, want a key", err)
	case want != nil && (err == nil || k != jwk.Key{}):
		t.Errorf("got a key, want %v", want)
	case want != nil && !errors.Is(want, errAny) && !errors.Is(err, want):
		t.Errorf("got %v, want %v", err, want)
	}
}

// FuzzRead: what is read is a public key of its kind, and its one spelling has the same thumbprint again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"` + ecY + `"}`))
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","x":"` + edX + `"}`))
	f.Add([]byte(`{"kty":"RSA","n":"` + modulus(64) + `","e":"AQAB"}`))
	f.Add([]byte(`{"kty":"oct","k":"AAAA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := jwk.Read(b)
		if err != nil {
			return
		}
		encode := base64.RawURLEncoding.EncodeToString
		var own map[string]string
		switch p := k.Public.(type) {
		case *ecdsa.PublicKey:
			point, err := p.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			half := len(point) / 2
			own = map[string]string{"kty": "EC", "crv": p.Params().Name, "x": encode(point[1 : 1+half]), "y": encode(point[1+half:])}
		case ed25519.PublicKey:
			own = map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(p)}
		case *rsa.PublicKey:
			e := []byte{byte(p.E >> 24), byte(p.E >> 16), byte(p.E >> 8), byte(p.E)}
			for e[0] == 0 {
				e = e[1:]
			}
			own = map[string]string{"kty": "RSA", "n": encode(p.N.Bytes()), "e": encode(e)}
		default:
			t.Fatalf("%T", p)
		}
		text, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		again, err := jwk.Read(text)
		if err != nil || again.Thumbprint != k.Thumbprint {
			t.Fatalf("%q: %x, its own spelling %s %x, %v", b, k.Thumbprint, text, again.Thumbprint, err)
		}
		var given map[string]any
		if err := json.Unmarshal(b, &given); err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{"d", "p", "q", "k"} {
			if _, ok := given[private]; ok {
				t.Fatalf("VULNERABLE: a key with %s was read", private)
			}
		}
	})
}
