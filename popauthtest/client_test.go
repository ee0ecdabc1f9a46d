package popauthtest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// The certificate of RFC 8705, appendix A, and the x5t#S256 that it gives for it.
const (
	rfc8705Certificate = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
`
	rfc8705Thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

func TestThumbprint(t *testing.T) {
	block, _ := pem.Decode([]byte(rfc8705Certificate))
	client := &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{block.Bytes}}}
	equal(t, "Thumbprint", client.Thumbprint(), rfc8705Thumbprint)
	bound, err := json.Marshal(client.Bound())
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Bound", string(bound), `{"cnf":{"x5t#S256":"`+rfc8705Thumbprint+`"}}`)
	equal(t, "Request", client.Request("GET", "/", "").TLS.PeerCertificates[0].Subject.CommonName, "mtls")
}

func TestWithoutCertificate(t *testing.T) {
	for name, client := range map[string]*popauthtest.Client{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			equal(t, "Thumbprint", client.Thumbprint(), "")
			equal(t, "Bound", len(client.Bound()), 0)
			r := client.Request("GET", "/orders", "x")
			equal(t, "PeerCertificates", len(r.TLS.PeerCertificates), 0)
			if _, _, err := client.WritePEM(t.TempDir()); err == nil {
				t.Error("WritePEM: got no error")
			}
		})
	}
}

func TestRequest(t *testing.T) {
	client := popauthtest.NewCA(t).Intermediate("i").Client("a")
	r := client.Request("POST", "https://api.example.com/orders?n=1", "abc")
	equal(t, "method", r.Method, "POST")
	equal(t, "host", r.Host, "api.example.com")
	equal(t, "path", r.URL.Path, "/orders")
	equal(t, "server name", r.TLS.ServerName, "api.example.com")
	equal(t, "handshake", r.TLS.HandshakeComplete, true)
	equal(t, "certificates", len(r.TLS.PeerCertificates), 2)
	equal(t, "verified", len(r.TLS.VerifiedChains), 0)
	equal(t, "Authorization", r.Header.Get("Authorization"), "Bearer abc")

	r = client.Request("GET", "/orders", "")
	equal(t, "server name of a path", r.TLS.ServerName, "example.com")
	if values, ok := r.Header["Authorization"]; ok {
		t.Errorf("Authorization: got %q, want none", values)
	}
}

func TestWritePEM(t *testing.T) {
	ca := popauthtest.NewCA(t)
	dir := t.TempDir()
	for name, want := range map[string]string{
		"orders-batch": "orders-batch.crt", "../a b": "..-a-b.crt", "": "client.crt",
	} {
		client := ca.Intermediate("i").Client(name)
		certFile, keyFile, err := client.WritePEM(dir)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "file", certFile, filepath.Join(dir, want))
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "chain", len(pair.Certificate), 2)
		reread := popauthtest.Client{Certificate: pair}
		equal(t, "thumbprint", reread.Thumbprint(), client.Thumbprint())
		info, err := os.Stat(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" { // which has no such bits
			equal(t, "readable by others", info.Mode().Perm()&0o077, 0)
		}
	}
}

func TestCAClient(t *testing.T) {
	ca := popauthtest.NewCA(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/batch"}
	client := ca.ClientFor(key, "batch", func(c *x509.Certificate) {
		c.URIs = append(c.URIs, spiffe)
		c.NotAfter = time.Now().Add(-time.Minute)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	leaf := client.Certificate.Leaf
	equal(t, "key", leaf.PublicKeyAlgorithm, x509.RSA)
	equal(t, "URI", leaf.URIs[0].String(), spiffe.String())
	equal(t, "usage", leaf.ExtKeyUsage[0], x509.ExtKeyUsageServerAuth)
	equal(t, "expired", leaf.NotAfter.Before(time.Now()), true)
	equal(t, "issued", leaf.CheckSignatureFrom(ca.Certificate), nil)

	renewed := ca.ClientFor(key, "batch")
	equal(t, "same key", key.PublicKey.Equal(renewed.Certificate.Leaf.PublicKey), true)
	if renewed.Thumbprint() == client.Thumbprint() {
		t.Error("thumbprint: got the old one after renewal")
	}
}

func TestCAVerifies(t *testing.T) {
	ca := popauthtest.NewCA(t)
	inner := ca.Intermediate("outer").Intermediate("inner")
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	self := popauthtest.SelfSigned(t, "a").Certificate.Leaf
	expired := func(c *x509.Certificate) { c.NotAfter = c.NotBefore }
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	powerless := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }
	for name, test := range map[string]struct {
		client *popauthtest.Client
		roots  *x509.CertPool
		chain  int
		want   bool
	}{
		"issued":                  {ca.Client("a"), ca.Pool(), 1, true},
		"by an intermediate":      {inner.Client("a"), ca.Pool(), 3, true},
		"the intermediate's":      {inner.Client("a"), inner.Pool(), 3, true},
		"of another authority":    {popauthtest.NewCA(t).Client("a"), ca.Pool(), 1, false},
		"self-signed":             {popauthtest.SelfSigned(t, "a"), ca.Pool(), 1, false},
		"expired":                 {ca.Client("a", expired), ca.Pool(), 1, false},
		"other usage":             {ca.Client("a", server), ca.Pool(), 1, false},
		"expired intermediate":    {ca.Intermediate("i", expired).Client("a"), ca.Pool(), 2, false},
		"authority without power": {ca.Intermediate("i", powerless).Client("a"), ca.Pool(), 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			chain := test.client.Request(http.MethodGet, "/", "").TLS.PeerCertificates
			equal(t, "chain", len(chain), test.chain)
			intermediates := x509.NewCertPool()
			for _, cert := range chain[1:] {
				intermediates.AddCert(cert)
			}
			_, err := chain[0].Verify(x509.VerifyOptions{Roots: test.roots, Intermediates: intermediates, KeyUsages: usage})
			if (err == nil) != test.want {
				t.Errorf("got %v, want %t", err, test.want)
			}
		})
	}
	// CheckSignatureFrom would ask for an authority.
	err := self.CheckSignature(self.SignatureAlgorithm, self.RawTBSCertificate, self.Signature)
	equal(t, "self-signed by its own key", err, nil)
	equal(t, "self-signed is no authority", self.IsCA, false)
}

func TestCAServer(t *testing.T) {
	ca := popauthtest.NewCA(t)
	cert := ca.Server("api.example.com", "192.0.2.7")
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "api.example.com", "192.0.2.7"} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if !x509.NewCertPool().AppendCertsFromPEM(ca.PEM()) {
		t.Errorf("PEM: got %s", ca.PEM())
	}
}

func TestIssueFails(t *testing.T) {
	message := failure(t, func(tb popauthtest.TB) {
		popauthtest.NewCA(tb).Client("a", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSA })
	})
	if !strings.Contains(message, `certificate of "a"`) {
		t.Errorf("got %q", message)
	}
}
