package jwk_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"

	"github.com/seed-171ab058/popauth/internal/jwk"
)

// Every key of crypto/ed25519's own is sound. Half of all texts are points: which, crypto/ed25519 tells by whether it
// looks at the signature at all.
func TestSoundEd25519(t *testing.T) {
	for range 200 {
		key, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if err := jwk.Sound(key); err != nil {
			t.Errorf("%x: got %v", key, err)
		}
	}
	sound := 0
	for range 400 {
		key := make(ed25519.PublicKey, ed25519.PublicKeySize)
		_, _ = rand.Read(key)
		if jwk.Sound(key) == nil {
			sound++
		}
	}
	if sound < 120 || sound > 280 {
		t.Errorf("random texts: got %d of 400 points, want about half", sound)
	}
	if jwk.Sound(ed25519.PublicKey(append([]byte{2}, make([]byte, 31)...))) == nil {
		t.Error("y = 2 is no point, and counts as one")
	}
}

// For a key of small order everybody can sign: crypto/ed25519 itself accepts a signature that was made without any key.
func TestEd25519OfSmallOrder(t *testing.T) {
	forged := append(append([]byte{1}, make([]byte, 31)...), make([]byte, 32)...) // R is the neutral point, S is 0
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // 0, written as p
	} {
		key, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		forgery := ""
		for n := 0; n < 1000 && forgery == ""; n++ {
			if message := fmt.Sprint(n); ed25519.Verify(key, []byte(message), forged) {
				forgery = message
			}
		}
		if forgery == "" {
			t.Errorf("%s: nobody can forge for it: not of small order?", text)
		}
		if jwk.Sound(ed25519.PublicKey(key)) == nil {
			t.Errorf("VULNERABLE: %s counts as a key", text)
		}
		if _, err := jwk.Read([]byte(`{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`)); err == nil {
			t.Errorf("VULNERABLE: Read accepts %s", text)
		}
	}
}

func TestSoundOfOtherKinds(t *testing.T) {
	good, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 256))
	for name, tt := range map[string]struct {
		key  any
		want bool
	}{
		"EC": {&good.PublicKey, true},
		//nolint:staticcheck // no other way to make one
		"EC off the curve":   {&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}, false},
		"RSA":                {&rsa.PublicKey{N: n, E: 65537}, true},
		"RSA, exponent 1":    {&rsa.PublicKey{N: n, E: 1}, false},
		"RSA, even exponent": {&rsa.PublicKey{N: n, E: 4}, false},
		"RSA, even modulus":  {&rsa.PublicKey{N: new(big.Int).Sub(n, big.NewInt(1)), E: 3}, false},
		"none":               {nil, false},
		"another":            {"key", false},
	} {
		if err := jwk.Sound(tt.key); (err == nil) != tt.want {
			t.Errorf("%s: got %v, want sound %t", name, err, tt.want)
		}
	}
}
