package popclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popclient"
)

// hidden is a signer as a KMS would be one: nothing but its methods can be used.
type hidden struct {
	crypto.Signer
	err       error
	signature []byte
}

func (h hidden) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if h.err != nil || h.signature != nil {
		return h.signature, h.err
	}
	return h.Signer.Sign(r, digest, opts)
}

// rsaKey is one for all tests: they are dear.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func generate(t testing.TB, alg string) crypto.Signer {
	t.Helper()
	var signer crypto.Signer
	var err error
	switch alg {
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RS256", "PS256":
		signer, err = rsaKey()
	default:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// public is a signer that has only a public key.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }
func (public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no")
}

func TestNewKeyRefuses(t *testing.T) {
	p256, ed, large := generate(t, "ES256"), generate(t, "EdDSA"), new(big.Int).Lsh(big.NewInt(1), 8192)
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	for name, test := range map[string]struct {
		signer crypto.Signer
		alg    string
	}{
		"nil":              {nil, "ES256"},
		"nil *ecdsa":       {(*ecdsa.PrivateKey)(nil), "ES256"},
		"nil *rsa":         {(*rsa.PrivateKey)(nil), "RS256"},
		"nil ed25519":      {ed25519.PrivateKey(nil), "EdDSA"},
		"nil of one's own": {(*sleeper)(nil), "ES256"},
		"nothing inside":   {&sleeper{}, "ES256"},
		"no alg":           {p256, ""},
		"none":             {p256, "none"},
		"HS256":            {p256, "HS256"},
		"alg in lower":     {p256, "es256"},
		"curve":            {p256, "ES384"},
		"EC for EdDSA":     {p256, "EdDSA"},
		"EC for RS256":     {p256, "RS256"},
		"Ed25519 for EC":   {ed, "ES256"},
		"no public key":    {public{nil}, "ES256"},
		"nil EC key":       {public{(*ecdsa.PublicKey)(nil)}, "ES256"},
		"nil RSA key":      {public{(*rsa.PublicKey)(nil)}, "RS256"},
		"EC, no point":     {public{&ecdsa.PublicKey{Curve: elliptic.P256()}}, "ES256"},
		"Ed25519 short":    {public{ed25519.PublicKey{1}}, "EdDSA"},
		"RSA 2047 bits":    {public{&rsa.PublicKey{N: new(big.Int).Rsh(n, 1), E: 65537}}, "RS256"},
		"RSA 8193 bits":    {public{&rsa.PublicKey{N: large, E: 65537}}, "PS256"},
		"RSA no modulus":   {public{&rsa.PublicKey{E: 65537}}, "PS256"},
		"RSA exponent 1":   {public{&rsa.PublicKey{N: n, E: 1}}, "PS256"},
		//nolint:staticcheck // SA1019: nothing else makes a broken key
		"EC off the curve": {public{&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, "ES256"},
	} {
		if k, err := popclient.NewKey(test.signer, test.alg); err == nil || k != nil || !strings.HasPrefix(err.Error(), "popclient: ") {
			t.Errorf("%s: got %v, %v, want an error", name, k, err)
		}
	}
	if _, err := popclient.NewKey(public{&rsa.PublicKey{N: n, E: 65537}}, "RS256"); err != nil {
		t.Errorf("RSA 2048 bits: got %v", err)
	}
	if k, err := popclient.GenerateKey("ES512"); err == nil || k != nil {
		t.Errorf("ES512: got %v, want an error", err)
	}
}

// part decodes one part of a proof.
func part(t testing.TB, proof string, i int) map[string]any {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[i])
	m := map[string]any{}
	if err != nil || json.Unmarshal(b, &m) != nil {
		t.Fatalf("part %d of %q: %v", i, proof, err)
	}
	return m
}

func TestProof(t *testing.T) {
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	key.Now = func() time.Time { return time.Unix(1700000000, 5) }
	for _, test := range []struct{ in, want string }{ // want "" is an error
		{"https://api.example.com/a/b?c=d#e", "https://api.example.com/a/b"},
		{"https://api.example.com", "https://api.example.com/"},
		{"https://api.example.com?x", "https://api.example.com/"},
		{"HTTPS://API.example.com:8443/a%2fb/%7Ec", "https://API.example.com:8443/a%2fb/%7Ec"},
		{"https://api.example.com/a b", "https://api.example.com/a%20b"},
		{"https://user:secret@api.example.com/", "https://api.example.com/"},
		{"http://[::1]:80//x", "http://[::1]:80//x"},
		{"https:/x", ""}, {"https:opaque", ""}, {"/x", ""}, {"ftp://host/", ""}, {"https://b\u00fccher.de/", ""}, {"https://host/%zz", ""},
	} {
		proof, err := key.Proof("GET", test.in, "", "")
		if (err == nil) != (test.want != "") {
			t.Errorf("%s: got %v, want %q", test.in, err, test.want)
		} else if err == nil {
			if got := part(t, proof, 1)["htu"]; got != test.want {
				t.Errorf("%s: got %v, want %s", test.in, got, test.want)
			}
		}
	}
	a, _ := key.Proof("PATCH", "https://h/", "token", "n-1")
	b, _ := key.Proof("get", "https://h/", "", "")
	for i, test := range []struct {
		got  map[string]any
		want map[string]any
	}{
		{part(t, a, 1), map[string]any{"htm": "PATCH", "iat": 1700000000.0, "nonce": "n-1",
			"ath": "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A"}},
		{part(t, b, 1), map[string]any{"htm": "get", "iat": 1700000000.0, "nonce": nil, "ath": nil}},
		{part(t, a, 0), map[string]any{"typ": "dpop+jwt", "alg": "ES256"}},
	} {
		for name, want := range test.want {
			if got := test.got[name]; got != want {
				t.Errorf("%d: %s: got %v, want %v", i, name, got, want)
			}
		}
	}
	jtiA, _ := part(t, a, 1)["jti"].(string)
	if jtiB, _ := part(t, b, 1)["jti"].(string); jtiA == jtiB || len(jtiA) < 26 || len(jtiB) < 26 {
		t.Errorf("jti: got %q and %q", jtiA, jtiB)
	}
	if _, ok := part(t, b, 1)["ath"]; ok {
		t.Error("ath without a token")
	}
	jwk, _ := part(t, a, 0)["jwk"].(map[string]any)
	if len(jwk) != 4 || jwk["d"] != nil {
		t.Errorf("jwk: got %v, want kty, crv, x and y", jwk)
	}
	if _, err := key.Proof("", "https://h/", "", ""); err == nil {
		t.Error("no method: got a proof")
	}
}

func TestNoKey(t *testing.T) {
	for name, k := range map[string]*popclient.Key{"nil": nil, "zero": {}} {
		if proof, err := k.Proof("GET", "https://h/", "", ""); err == nil || proof != "" || k.Thumbprint() != "" {
			t.Errorf("%s: got %q, %v, %q", name, proof, err, k.Thumbprint())
		}
	}
}

func TestSignerFails(t *testing.T) {
	broken := errors.New("HSM out of order")
	good := generate(t, "ES256")
	der := func(r, s int64) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(r), big.NewInt(s)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	long, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)})
	for name, test := range map[string]struct {
		signer hidden
		want   error
	}{
		"error":    {hidden{good, broken, nil}, broken},
		"r and s":  {hidden{good, nil, make([]byte, 64)}, nil},
		"trailing": {hidden{good, nil, append(der(1, 2), 0)}, nil},
		"zero":     {hidden{good, nil, der(1, 0)}, nil},
		"negative": {hidden{good, nil, der(-1, 1)}, nil},
		"too long": {hidden{good, nil, long}, nil},
	} {
		key, err := popclient.NewKey(test.signer, "ES256")
		if err != nil {
			t.Fatal(err)
		}
		if proof, err := key.Proof("GET", "https://h/", "", ""); err == nil || proof != "" ||
			test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: got %q, %v, want an error", name, proof, err)
		}
	}
	if got, err := popclient.Concatenated(der(1, 2), 32); err != nil || len(got) != 64 || got[31] != 1 || got[63] != 2 {
		t.Errorf("small r and s: got %x, %v, want them at full length", got, err)
	}
}

func decode(s string) string {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return string(b)
}
