package popauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// signingKey is a key of the issuer. Each algorithm has its own kid, so that a JWKS entry can name its algorithm.
type signingKey struct {
	alg, kid string
	private  crypto.Signer
}

// signer finds what signs alg, and the kid that goes with it.
func (i *Issuer) signer(alg string) (method jwt.SigningMethod, key any, kid string) {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	switch alg {
	case "":
		alg = i.algorithms[0]
	case "none":
		return jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, i.key(i.algorithms[0]).kid
	case "HS256", "HS384", "HS512":
		k := i.key(i.algorithms[0])
		der, err := x509.MarshalPKIXPublicKey(k.private.Public())
		if err != nil {
			i.tb.Fatalf("popauthtest: public key: %v", err)
		}
		return jwt.GetSigningMethod(alg), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), k.kid
	case "Ed25519":
		// RFC 9864 gives EdDSA with this curve a name of its own; golang-jwt knows the old one alone.
		k := i.key(alg)
		return jwt.SigningMethodEdDSA, k.private, k.kid
	}
	k := i.key(alg)
	return jwt.GetSigningMethod(alg), k.private, k.kid
}

// key returns the key for alg and makes it if there is none. The caller holds i.mu.
func (i *Issuer) key(alg string) *signingKey {
	i.tb.Helper()
	for _, k := range i.keys {
		if k.alg == alg {
			return k
		}
	}
	private, err := i.generate(alg)
	if err != nil {
		i.tb.Fatalf("popauthtest: no key for alg %q: %v", alg, err)
	}
	k := &signingKey{alg: alg, kid: alg + "-" + rand.Text()[:10], private: private}
	i.keys = append(i.keys, k)
	return k
}

func (i *Issuer) generate(alg string) (crypto.Signer, error) {
	if strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS") {
		// The one slow kind, so these share one.
		for _, k := range i.keys {
			if private, ok := k.private.(*rsa.PrivateKey); ok {
				return private, nil
			}
		}
	}
	return generate(alg)
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, errors.New("nothing here signs with it; Sign writes any header")
}

// JWKS is the JWK set as /jwks serves it: the public keys of the algorithms that the issuer was made for, and of those
// used since.
func (i *Issuer) JWKS() []byte {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, alg := range i.algorithms {
		i.key(alg)
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for _, k := range i.keys {
		public, err := publicJWK(k.private.Public())
		if err != nil {
			i.tb.Fatalf("popauthtest: JWK: %v", err)
		}
		public.KID, public.Use, public.Alg = k.kid, "sig", k.alg
		set.Keys = append(set.Keys, public)
	}
	return marshal(i.tb, set)
}

// Rotate replaces every key by a new one under a new kid. The old keys are gone from the JWKS at once, and nothing is
// signed with them any more.
func (i *Issuer) Rotate() {
	i.tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	old := i.keys
	i.keys = nil
	for _, k := range old {
		i.key(k.alg)
	}
}

// jwk is a public key (RFC 7517, RFC 7518 section 6, RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	KID string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
}

func publicJWK(key crypto.PublicKey) (jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return jwk{}, err
		}
		// An uncompressed point: 4, then both coordinates at full length, as RFC 7518 section 6.2.1.2 wants them.
		xy := point[1:]
		return jwk{
			Kty: "EC", Crv: key.Params().Name,
			X: encode(xy[:len(xy)/2]), Y: encode(xy[len(xy)/2:]),
		}, nil
	case ed25519.PublicKey:
		return jwk{Kty: "OKP", Crv: "Ed25519", X: encode(key)}, nil
	case *rsa.PublicKey:
		return jwk{Kty: "RSA", N: encode(key.N.Bytes()), E: encode(big.NewInt(int64(key.E)).Bytes())}, nil
	}
	return jwk{}, fmt.Errorf("%T has no JWK", key)
}

func marshal(tb TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatalf("popauthtest: %v", strings.TrimPrefix(err.Error(), "json: "))
	}
	return data
}
