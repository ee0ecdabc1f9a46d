package advisories_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// ECDSA signatures whose equation holds for a verifier that does not look at the range of r and s.
func TestAdvisoryPsychicSignature(t *testing.T) {
	for _, tt := range []struct {
		alg   string
		curve elliptic.Curve
	}{
		{"ES256", elliptic.P256()}, {"ES384", elliptic.P384()}, {"ES512", elliptic.P521()},
	} {
		l := lab.New(t, tt.alg)
		g := l.Guard()
		l.Genuine(t, g, l.Bound())
		n := tt.curve.Params().N
		values := []*big.Int{new(big.Int), big.NewInt(1), new(big.Int).Sub(n, big.NewInt(1)), n, new(big.Int).Add(n, big.NewInt(1))}
		size := (tt.curve.Params().BitSize + 7) / 8
		for _, r := range values {
			for _, s := range values {
				t.Run("CVE-2022-21449 "+tt.alg, func(t *testing.T) {
					forged := l.Issuer.TokenWith(nil, l.Owner.Bound())
					forged = forged[:strings.LastIndexByte(forged, '.')+1] +
						lab.B64(append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...))
					l.Forged(t, g, forged, popauth.ErrTokenSignature)
				})
			}
		}
	}
}

// A signature is as long as its algorithm makes it, and in the form that RFC 7518 gives it.
func TestAdvisorySignatureLength(t *testing.T) {
	l := lab.New(t, "ES256", "RS256", "EdDSA")
	g := l.Guard()
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		token := l.Issuer.TokenWith(lab.Claims{"alg": alg}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"})
		l.Genuine(t, g, token)
		i := strings.LastIndexByte(token, '.') + 1
		good := lab.PayloadOf("." + token[i:])
		der, err := asn1.Marshal(struct {
			R, S *big.Int
		}{new(big.Int).SetBytes(good[:len(good)/2]), new(big.Int).SetBytes(good[len(good)/2:])})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name      string
			signature []byte
		}{
			{"CVE-2020-28042 none", nil},
			{"one byte", good[:1]},
			{"one less", good[:len(good)-1]},
			{"one less at the front", good[1:]},
			{"zero in front", append([]byte{0}, good...)},
			{"zero behind", append(bytes.Clone(good), 0)},
			{"twice", append(bytes.Clone(good), good...)},
			{"DER", der},
			{"halves swapped", append(bytes.Clone(good[len(good)/2:]), good[:len(good)/2]...)},
			{"endless", make([]byte, 6000)},
		} {
			t.Run(tt.name+" "+alg, func(t *testing.T) { l.Forged(t, g, token[:i]+lab.B64(tt.signature), popauth.ErrTokenSignature) })
		}
	}
}

// An Ed25519 signature has one S below the group's order (RFC 8032, section 5.1.7), an RSA one lies below the modulus.
func TestAdvisorySignatureMalleable(t *testing.T) {
	l := lab.New(t, "EdDSA", "RS256")
	g := l.Guard()
	part := func(alg string) (string, []byte) {
		token := l.Issuer.TokenWith(lab.Claims{"alg": alg}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"})
		l.Genuine(t, g, token)
		i := strings.LastIndexByte(token, '.') + 1
		return token[:i], lab.PayloadOf("." + token[i:])
	}
	signed, signature := part("EdDSA")
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := bytes.Clone(signature[32:])
	reverse(s)
	s = new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	reverse(s)
	l.Forged(t, g, signed+lab.B64(append(signature[:32:32], s...)), popauth.ErrTokenSignature)

	signed, signature = part("RS256")
	k, _ := l.Published()[1].Key.(*rsa.PublicKey)
	above := new(big.Int).Add(new(big.Int).SetBytes(signature), k.N)
	l.Forged(t, g, signed+lab.B64(above.Bytes()), popauth.ErrTokenSignature)
	l.Forged(t, g, signed+lab.B64(new(big.Int).Sub(k.N, new(big.Int).SetBytes(signature)).FillBytes(make([]byte, k.Size()))),
		popauth.ErrTokenSignature)
}

func reverse(b []byte) {
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
}

// With exponent 3, a signature for a verifier that does not look at the end of the padding is a cube root.
func TestAdvisoryPaddingNotChecked(t *testing.T) {
	l := lab.New(t, "ES256")
	n, _ := new(big.Int).SetString(modulusForThree, 16)
	text := fmt.Sprintf(`{"kty":"RSA","kid":"three","alg":"RS256","n":%q,"e":"Aw"}`, lab.B64(n.Bytes()))
	g := l.Over(text, l.Published()[0].Text)
	l.Genuine(t, g, l.Bound())
	header := lab.Claims{"alg": "RS256", "typ": "at+jwt", "kid": "three"}
	t.Run("CVE-2021-30246 rest not looked at", func(t *testing.T) {
		l.Forged(t, g, lab.Compact(header, l.Claims(), func(input string) []byte {
			short := padded(input, 64) // 00 01 ff … 00 DigestInfo, and then whatever the root leaves
			want := new(big.Int).Lsh(new(big.Int).SetBytes(short), 8*(256-64))
			return cubeRoot(want).FillBytes(make([]byte, 256))
		}), popauth.ErrTokenSignature)
	})
	t.Run("CVE-2021-30246 padding of other bytes", func(t *testing.T) {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		g := l.Over(lab.Jwk(&k.PublicKey, lab.Claims{"kid": "three"}))
		l.Genuine(t, g, lab.Compact(header, l.Claims(), func(input string) []byte { return power(k, padded(input, 256)) }))
		for _, at := range []int{0, 1, 2, 100, 203} { // leading zero, type, padding, its last byte, the zero behind it
			l.Forged(t, g, lab.Compact(header, l.Claims(), func(input string) []byte {
				p := padded(input, 256)
				p[at] ^= 0x10
				if at == 0 {
					p[0] = 0
					p[1] = 2
				}
				return power(k, p)
			}), popauth.ErrTokenSignature)
		}
	})
}

// padded is EMSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 9.2).
func padded(input string, size int) []byte {
	sum := sha256.Sum256([]byte(input))
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04,
		0x20}, sum[:]...)
	b := append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3)...)
	return append(append(b, 0), info...)
}

func power(k *rsa.PrivateKey, b []byte) []byte {
	return new(big.Int).Exp(new(big.Int).SetBytes(b), k.D, k.N).FillBytes(make([]byte, k.Size()))
}

// cubeRoot is the least number whose cube is not below n.
func cubeRoot(n *big.Int) *big.Int {
	low, high := new(big.Int), new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()/3+2))
	for low.Cmp(high) < 0 {
		middle := new(big.Int).Rsh(new(big.Int).Add(low, high), 1)
		if new(big.Int).Exp(middle, big.NewInt(3), nil).Cmp(n) < 0 {
			low = middle.Add(middle, big.NewInt(1))
		} else {
			high = middle
		}
	}
	return low
}

// modulusForThree is a product of two primes of 1024 bits that are forgotten.
const modulusForThree = "dc09618080a501b8c289fde35b1bd9342e69e571f5b4ddc63165d74e912de5a6a65c5682449073bd842388c0143fbc408394fdde7bf8c" +
	"db7d1990a30f1b16b4813e88bdb1f7c84c3e745cd6b23c11b00a930753f8db320ef99c228a6473ad2b1c281a988d57e4ab60ee78fd2fc67508dfdd9a27c5f55b6" +
	"808162f490c72b452f634ae4c02448eb8ac94b9e493cb48af4d6aff9953684b508705290005775427f973459ed87292dde1d8c59fa5af2b98fbb6e85efe619f14" +
	"d7259dd39cf76a84a55b33b7603b19a408e35bdab438443e8707570a81a7281b9eec40371f87188fbe92a8dfa3da15b066e3864d8246ebefe0cd7c2adcf1c5248" +
	"03668add5affdde3"

// Whatever is changed in a token, the signature no longer fits.
func TestAdvisoryModifiedToken(t *testing.T) {
	l := lab.New(t, "ES256", "EdDSA")
	g := l.Guard()
	for _, alg := range []string{"ES256", "EdDSA"} {
		a := strings.Split(l.Issuer.TokenWith(lab.Claims{"alg": alg}, l.Owner.Bound(), lab.Claims{"scope": "orders.read"}), ".")
		b := strings.Split(l.Issuer.TokenWith(lab.Claims{"alg": alg}, l.Owner.Bound(), lab.Claims{"scope": "orders.read admin"}), ".")
		l.Genuine(t, g, strings.Join(a, "."))
		t.Run("CVE-2026-38651 signature", func(t *testing.T) {
			for bit := range 64 * 8 {
				s := lab.PayloadOf("." + a[2])
				s[bit/8] ^= 1 << (bit % 8)
				token := a[0] + "." + a[1] + "." + lab.B64(s)
				if _, err := g.Check(l.Owner.Request("GET", "/", token)); err == nil {
					t.Errorf("VULNERABLE: bit %d of the signature does not matter", bit)
				}
			}
		})
		t.Run("CVE-2026-23518 payload of another", func(t *testing.T) {
			l.Forged(t, g, a[0]+"."+b[1]+"."+a[2], popauth.ErrTokenSignature)
		})
		t.Run("CVE-2026-24899 header of another", func(t *testing.T) {
			header := lab.Compact(lab.Claims{"alg": alg, "typ": "at+jwt",
				"kid": l.Published()[map[string]int{"ES256": 0, "EdDSA": 1}[alg]].Kid, "x": 1}, nil, unsigned)
			l.Forged(t, g, header[:strings.IndexByte(header, '.')]+"."+a[1]+"."+a[2], popauth.ErrTokenSignature)
		})
		t.Run("CVE-2024-51744 expired and forged", func(t *testing.T) {
			expired := strings.Split(l.Issuer.TokenWith(lab.Claims{"alg": alg}, l.Owner.Bound(), lab.Claims{"exp": 1}), ".")
			l.Forged(t, g, expired[0]+"."+expired[1]+"."+a[2], popauth.ErrTokenSignature)
			l.Forged(t, g, strings.Join(expired, "."), popauth.ErrTokenExpired)
		})
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := lab.Compact(lab.Claims{"alg": "ES256", "typ": "at+jwt", "kid": l.Published()[0].Kid}, l.Claims(), lab.By("ES256", other))
	l.Forged(t, g, forged, popauth.ErrTokenSignature)
}
