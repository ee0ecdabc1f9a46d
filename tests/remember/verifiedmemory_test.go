package remember_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// What Verified remembers of strangers' certificates is that they are refused and why, not the certificates.
func TestVerifiedKeepsNoStrangersCertificate(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 900 {
		names = append(names, fmt.Sprintf("n%d.example", i))
	}
	stranger := func(n int) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(n)), Subject: pkix.Name{CommonName: "x"}, DNSNames: names,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		raw, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{Subject: pkix.Name{CommonName: "nobody"}}, public,
			private)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var sent *x509.Certificate
	source, err := clientcert.Verified(popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) {
		return &popauth.Certificate{Leaf: sent}, nil
	}), clientcert.Verification{Roots: popauthtest.NewCA(t).Pool()})
	if err != nil {
		t.Fatal(err)
	}
	r := (&popauthtest.Client{}).Request("GET", "/", "")
	before := lab.HeapAlloc()
	const different = 1100 // more than there are places
	for n := range different {
		sent = stranger(n + 1)
		for range 2 { // the second time from memory
			_, err := source.Certificate(r)
			if !errors.Is(err, popauth.ErrCertificateUntrusted) || !strings.Contains(err.Error(), "unknown authority") {
				t.Fatalf("got %v, want ErrCertificateUntrusted", err)
			}
		}
	}
	sent = nil
	grown := lab.HeapAlloc() - before
	t.Logf("%.2f MiB", grown/(1<<20))
	if grown > 1<<20 {
		t.Errorf("VULNERABLE: got %.1f MiB, want 1 at most", grown/(1<<20))
	}
	runtime.KeepAlive(source)
}
