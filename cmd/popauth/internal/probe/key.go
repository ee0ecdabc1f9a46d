package probe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Key signs DPoP proofs, right ones and wrong ones.
type Key struct {
	private crypto.Signer
	alg     string
	jwk     map[string]any // the public half
	jkt     string         // its thumbprint, RFC 7638
}

// methods are those by which a client's key signs. Golang-jwt's registry has more, such as none.
var methods = map[string]jwt.SigningMethod{
	"ES256": jwt.SigningMethodES256, "ES384": jwt.SigningMethodES384, "ES512": jwt.SigningMethodES512, "EdDSA": jwt.SigningMethodEdDSA,
	"PS256": jwt.SigningMethodPS256, "PS384": jwt.SigningMethodPS384, "PS512": jwt.SigningMethodPS512,
	"RS256": jwt.SigningMethodRS256, "RS384": jwt.SigningMethodRS384, "RS512": jwt.SigningMethodRS512,
}

// NewKey takes a private key. Alg may be empty: the key's kind says it then.
func NewKey(private crypto.Signer, alg string) (*Key, error) {
	if alg == "" {
		switch k := private.(type) {
		case *ecdsa.PrivateKey:
			alg = map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[k.Curve]
		case ed25519.PrivateKey:
			alg = "EdDSA"
		case *rsa.PrivateKey:
			alg = "PS256"
		}
	}
	k := &Key{private: private, alg: alg}
	if methods[alg] == nil {
		return nil, fmt.Errorf("no algorithm for a %T", private)
	}
	if _, err := k.sign("try"); err != nil {
		return nil, fmt.Errorf("algorithm %s doesn't fit a %T", alg, private)
	}
	public := jose.JSONWebKey{Key: private.Public()}
	b, err := public.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &k.jwk); err != nil {
		return nil, err
	}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	k.jkt = base64.RawURLEncoding.EncodeToString(sum)
	return k, nil
}

// ParseKey reads a private JWK.
func ParseKey(text []byte) (*Key, error) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, fmt.Errorf("no JWK: %w", err)
	}
	private, ok := k.Key.(crypto.Signer)
	if !ok {
		return nil, errors.New("a JWK without its private key: a proof must be signed")
	}
	return NewKey(private, k.Algorithm)
}

func generateKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return NewKey(private, "ES256")
}

func (k *Key) sign(input string) ([]byte, error) {
	return methods[k.alg].Sign(input, k.private)
}

// sealed is a compact JWS of these two, signed by the key.
func (k *Key) sealed(header, claims []byte) (string, error) {
	input := encode(header) + "." + encode(claims)
	signature, err := k.sign(input)
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
