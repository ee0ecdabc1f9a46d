package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/seed-171ab058/popauth"
)

// JWTs with each algorithm that both sides know, with all the provider's keys in one set.
func TestAlgorithms(t *testing.T) {
	var keys []signingKey
	for kid, generate := range map[string]func() (crypto.Signer, error){
		"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"P-521":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"Ed25519": func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
		"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	} {
		key, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, signingKey{KID: kid, PEM: keyPEM(t, key)})
	}
	p := newProvider(t, keys...)
	all := p.keys()
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			resource := structured + "/" + alg
			a := p.api(popauth.Options{Issuer: p.issuer, Audience: []string{resource}, Keys: all, Algorithms: []string{alg}})
			token := p.obtain(resource)
			a.want(t, p.byDN, token, "the owner", "")
			a.want(t, p.bySAN, token, "another client", popauth.ErrCertificateMismatch)
		})
	}
}
