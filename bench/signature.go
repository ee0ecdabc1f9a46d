package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"math/big"
	"strings"
)

var errSignature = errors.New("the signature is wrong")

// Verify returns functions that verify the signature of a token by crypto and do nothing else: what can be decoded
// before is.
func Verify(key any, tokens ...string) ([]func(), error) {
	var all []func()
	for _, token := range tokens {
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
		if err != nil {
			return nil, err
		}
		verify, err := verification(key, []byte(token[:dot]), signature)
		if err != nil {
			return nil, err
		}
		if !verify() {
			return nil, errSignature
		}
		all = append(all, func() {
			if !verify() {
				log.Panic(errSignature)
			}
		})
	}
	return all, nil
}

func verification(key any, input, signature []byte) (func() bool, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return func() bool {
			sum := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil
		}, nil
	case *ecdsa.PublicKey:
		// JOSE has the two numbers one after the other, crypto/ecdsa wants them in ASN.1.
		half := len(signature) / 2
		der, err := asn1.Marshal(struct{ R, S *big.Int }{
			new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]),
		})
		if err != nil {
			return nil, err
		}
		return func() bool {
			sum := sha256.Sum256(input)
			return ecdsa.VerifyASN1(k, sum[:], der)
		}, nil
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(k, input, signature) }, nil
	}
	return nil, fmt.Errorf("no signature by %T", key)
}
