package clientauth

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/jwk"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

const (
	maxKeys = 100
	maxJWKS = 256 << 10
)

// JWKS is the certificates of a JWK Set as a client registers it: of each key, the first one of x5c (RFC 8705, section
// 2.2.2). Keys without x5c are left out, they serve other purposes; but one at least must have it. A set that has a
// private key, or a certificate that belongs to another key (RFC 7517, section 4.7), is an error.
func JWKS(set []byte) (Credential, error) {
	if len(set) > maxJWKS {
		return Credential{}, fmt.Errorf("clientauth: jwks: more than %d bytes", maxJWKS)
	}
	var keys []jsontext.Value
	err := strictjson.Members(set, []string{"keys"}, func(name string, v jsontext.Value) (err error) {
		if name == "keys" {
			keys, err = strictjson.Elements(v)
		}
		return err
	})
	if err != nil {
		return Credential{}, fmt.Errorf("clientauth: jwks: %w", err)
	}
	if len(keys) > maxKeys {
		return Credential{}, fmt.Errorf("clientauth: jwks: more than %d keys", maxKeys)
	}
	var sums pinned
	for i, key := range keys {
		cert, err := certificateOf(key)
		if err != nil {
			return Credential{}, fmt.Errorf("clientauth: jwks: key %d: %w", i, err)
		}
		if cert != nil {
			sums = append(sums, sha256.Sum256(cert.Raw))
		}
	}
	if len(sums) == 0 {
		return Credential{}, errors.New("clientauth: jwks: no key has a certificate (x5c)")
	}
	return Credential{"jwks", string(set), SelfSignedTLSClientAuth, sums}, nil
}

var errX5C = errors.New("x5c: not certificates in base64")

// certificateOf returns nil for a key without one.
func certificateOf(key jsontext.Value) (*x509.Certificate, error) {
	var chain []string
	has := false
	err := strictjson.Members(key, []string{"x5c"}, func(name string, v jsontext.Value) (err error) {
		if name == "x5c" {
			has = true
			chain, err = strictjson.Strings(v)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	own, err := jwk.Read(key)
	switch {
	case errors.Is(err, jwk.ErrPrivate):
		return nil, errors.New("a private or symmetric key; register public ones")
	case !has:
		return nil, nil
	case err != nil:
		return nil, err
	case len(chain) == 0:
		return nil, errX5C
	}
	der, err := base64.StdEncoding.DecodeString(chain[0])
	if err != nil {
		return nil, errX5C
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("x5c: %w; one that Go can't parse can be registered by its thumbprint", err)
	}
	if public, ok := own.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("x5c: the certificate belongs to another key")
	}
	return cert, nil
}
