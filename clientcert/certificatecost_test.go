//go:build !race

// The race detector slows down all but the signatures that costs are compared with.

package clientcert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/proxy"
)

func bestOf(n int, f func()) time.Duration {
	best := time.Hour
	for range n {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// oneVerification is what a signature by ECDSA with P-256 costs here.
func oneVerification(t testing.TB) time.Duration {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return bestOf(200, func() { ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) })
}

// selfIssued is a certificate that somebody has made for itself.
func selfIssued(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	change(template)
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whoever connects with a large certificate pays for the handshake, and the API for no more than a small one.
func TestTooLargeCertificateOfAConnection(t *testing.T) {
	large := selfIssued(t, func(c *x509.Certificate) {
		for i := range 1000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("name-%d.example.com", i))
		}
	})
	owner := &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{large.Raw}, Leaf: large}}
	own := popauth.CertificateFunc(func(*http.Request) (*popauth.Certificate, error) { return &popauth.Certificate{Leaf: large}, nil })
	for name, source := range map[string]popauth.CertificateSource{
		"TLS": popauth.TLSCertificate(), "any host": popauth.TLSCertificateAnyHost(), "caller": popauth.CallerCertificate(),
		"one's own": own,
	} {
		r := owner.Request("GET", "/", "")
		spy := &popauthtest.Spy{}
		w := httptest.NewRecorder()
		clientcert.Require(source, clientcert.Thumbprint(popauth.Thumbprint(large)))(spy).ServeHTTP(w, r)
		if w.Code != 431 || spy.Ran() != 0 {
			t.Errorf("VULNERABLE: %s: got %d, ran %d, want 431", name, w.Code, spy.Ran())
		}
		_, err := clientcert.Check(r, source)
		if !errors.Is(err, popauth.ErrCertificateTooLarge) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: got %v, want ErrCertificateTooLarge, and what is the most", name, err)
		}
	}
}

// What a stranger's connection is not, is found out once, for however many identities there are.
func TestProxyIdentitiesCostLittle(t *testing.T) {
	ca := popauthtest.NewCA(t)
	for name, leaf := range map[string]*x509.Certificate{
		"16 KiB": selfIssued(t, func(c *x509.Certificate) {
			for i := range 1000 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i%7))
			}
		}),
		"200 kB": selfIssued(t, func(c *x509.Certificate) {
			for i := range 1000 {
				c.DNSNames = append(c.DNSNames, strings.Repeat("n", 190)+fmt.Sprint(i))
			}
		}),
	} {
		var ids []proxy.Identity
		for i := range 32 {
			ids = append(ids, proxy.Identity{DNS: fmt.Sprintf("q%d.example", i), Roots: ca.Pool()},
				proxy.Identity{Key: fmt.Sprintf("%042dA=", i)})
		}
		trusted, err := proxy.Trusted(proxy.TrustProxyTLS(ids...))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://x.example/", nil)
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}
		took := bestOf(20, func() {
			if trusted.Check(r) == nil {
				t.Errorf("VULNERABLE: %s: trusted", name)
			}
		})
		if one := oneVerification(t); took >= one {
			t.Errorf("%s: got %.2f verifications a request, want less than 1", name, float64(took)/float64(one))
		}
	}
}

// A proxy's certificate is no larger than anybody's, and of two identities the one that fits counts, whichever stands first.
func TestProxyIdentitiesTogether(t *testing.T) {
	ca := popauthtest.NewCA(t)
	name := func(c *x509.Certificate) { c.DNSNames = []string{"proxy.internal"} }
	ingress, stranger := ca.Client("proxy", name), popauthtest.NewCA(t).Client("proxy", name)
	trusted, err := proxy.Trusted(proxy.TrustProxyTLS(
		proxy.Identity{DNS: "proxy.internal", AnyAuthority: true}, // which crypto/tls has not verified
		proxy.Identity{DNS: "other.internal", Roots: ca.Pool()},
		proxy.Identity{DNS: "proxy.internal", Roots: ca.Pool()},
	))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := trusted.Check(ingress.Request("GET", "/", "")); err != nil {
			t.Errorf("got %v", err)
		}
		for who, c := range map[string]*popauthtest.Client{"its name, of another authority": stranger, "no such name": ca.Client("x")} {
			if trusted.Check(c.Request("GET", "/", "")) == nil {
				t.Errorf("VULNERABLE: %s: trusted", who)
			}
		}
	}
	large := selfIssued(t, func(c *x509.Certificate) { c.DNSNames = []string{strings.Repeat("n", 17<<10)} })
	key := sha256.Sum256(large.RawSubjectPublicKeyInfo)
	trusted, err = proxy.Trusted(proxy.TrustProxyTLS(proxy.Identity{Key: base64.StdEncoding.EncodeToString(key[:])}))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", http.NoBody)
	r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{large}}
	if trusted.Check(r) == nil {
		t.Errorf("a certificate of %d bytes: trusted", len(large.Raw))
	}
}
