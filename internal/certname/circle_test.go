//go:build !race

// The race detector slows down all but the signatures that costs are compared with.

package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// Ten authorities that have issued each other would be a hundred signatures for crypto/x509: that it is none is seen by
// the time.
func TestCircleCostsNoSignature(t *testing.T) {
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-521": elliptic.P521()} {
		m := &mesh{t: t}
		k := key(t, curve)
		var circle []*x509.Certificate
		for range 10 {
			circle = append(circle, m.issue("circle", "circle", k, k, true))
		}
		leaf := m.issue("leaf", "circle", key(t, elliptic.P256()), k, false)
		pool := x509.NewCertPool()
		pool.AddCert(m.issue("root", "root", k, k, true))
		took := best(func() {
			if _, err := certname.Verify(leaf, circle, x509.VerifyOptions{Roots: pool}); err == nil {
				t.Error("VULNERABLE: accepted")
			}
		})
		sum := sha256.Sum256([]byte("x"))
		signature, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		if one := best(func() { ecdsa.VerifyASN1(&k.PublicKey, sum[:], signature) }); took > 2*one {
			t.Errorf("%s: took %v, want less than two signatures of %v", name, took, one)
		}
	}
}

func best(f func()) time.Duration {
	least := time.Hour
	for range 20 {
		start := time.Now()
		f()
		least = min(least, time.Since(start))
	}
	return least
}
