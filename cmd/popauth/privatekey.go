package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-171ab058/popauth/popclient"
)

// readKey reads a private key, in PEM, DER or as a JWK, for proofs or assertions.
func readKey(file, alg string) (*popclient.Key, error) {
	b, err := readFile(file, nil)
	if err != nil {
		return nil, err
	}
	signer, own, err := signerOf(bytes.TrimSpace(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range []string{own, algorithmOf(signer.Public())} {
		if alg == "" {
			alg = name
		}
	}
	key, err := popclient.NewKey(signer, alg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// signerOf returns the key, and the alg of a JWK that has one.
func signerOf(b []byte) (crypto.Signer, string, error) {
	if len(b) > 0 && b[0] == '{' {
		var k jose.JSONWebKey
		if err := json.Unmarshal(b, &k); err != nil {
			return nil, "", errors.New("no JWK (RFC 7517)")
		}
		signer, ok := k.Key.(crypto.Signer)
		if !ok || !k.Valid() {
			return nil, "", errors.New("a JWK without a private key: want one with d (RFC 7518, section 6)")
		}
		return signer, k.Algorithm, nil
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if signer := privateOf(block.Bytes); signer != nil {
			return signer, "", nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, "", errors.New("an encrypted key: decrypt it first: openssl pkey -in FILE -out key.pem")
		}
	}
	if signer := privateOf(b); signer != nil {
		return signer, "", nil
	}
	return nil, "", errors.New("no private key: want PEM, DER or a JWK; this makes one: " +
		"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out dpop.key")
}

func privateOf(der []byte) crypto.Signer {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		signer, _ := key.(crypto.Signer)
		return signer
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	return nil
}

// algorithmOf is the algorithm that servers take most often for such a key.
func algorithmOf(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize == 384 {
			return "ES384"
		}
		return "ES256"
	case ed25519.PublicKey:
		return "EdDSA"
	case *rsa.PublicKey:
		return "PS256"
	}
	return "ES256" // which NewKey finds not to fit
}
