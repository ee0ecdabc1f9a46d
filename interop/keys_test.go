package interop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/seed-171ab058/popauth/popclient"
)

// signingKey is a key of the provider's.
type signingKey struct {
	KID string `json:"kid"`
	Alg string `json:"alg,omitempty"` // "" for each that fits
	PEM string `json:"pem"`
}

func newSigningKey(tb testing.TB, kid string) signingKey {
	tb.Helper()
	return signingKey{kid, "ES256", keyPEM(tb, newKey(tb))}
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func proofKey(tb testing.TB, signer crypto.Signer) *popclient.Key {
	tb.Helper()
	key, err := popclient.NewKey(signer, "ES256")
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// pems are a certificate with its chain, and its key.
func pems(tb testing.TB, c tls.Certificate) (certificate, key string) {
	tb.Helper()
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return string(chain), keyPEM(tb, c.PrivateKey)
}

func keyPEM(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
