package popclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opaque is a key whose methods are all that can be used.
type opaque struct{ signer crypto.Signer }

func (o opaque) Public() crypto.PublicKey { return o.signer.Public() }
func (o opaque) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.signer.Sign(r, digest, opts)
}

// Every form that a certificate comes in gets a token and an answer, its intermediates included.
func TestCertificateForms(t *testing.T) {
	s := newRealm(t)
	unit := s.ca.Intermediate("unit")
	owner := unit.Client("job")
	dir := t.TempDir()
	certFile, keyFile, err := owner.WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	both, _ := os.ReadFile(certFile)
	key, _ := os.ReadFile(keyFile)
	both = append(both, key...)
	p12, err := pkcs12.Modern2026.Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, []*x509.Certificate{unit.Certificate}, "pass")
	if err != nil {
		t.Fatal(err)
	}
	// Some programs write the authority first.
	reversed, err := pkcs12.Modern2023.Encode(owner.Certificate.PrivateKey, unit.Certificate, []*x509.Certificate{owner.Certificate.Leaf}, "pass")
	if err != nil {
		t.Fatal(err)
	}
	rsaKey := generate(t, "RS256")
	for name, source := range map[string]func(context.Context) (*tls.Certificate, error){
		"static":          popclient.StaticCertificate(owner.Certificate),
		"PEM":             popclient.CertificateFiles(certFile, keyFile),
		"one file":        popclient.CertificateFiles(write(t, filepath.Join(dir, "both.pem"), both), filepath.Join(dir, "both.pem")),
		"PKCS#12":         popclient.CertificatePKCS12(write(t, filepath.Join(dir, "a.p12"), p12), "pass"),
		"authority first": popclient.CertificatePKCS12(write(t, filepath.Join(dir, "b.p12"), reversed), "pass"),
		"signer": popclient.StaticCertificate(tls.Certificate{
			Certificate: owner.Certificate.Certificate, PrivateKey: opaque{owner.Certificate.PrivateKey.(crypto.Signer)},
		}),
		"signer and file": popclient.CertificateFile(certFile, opaque{owner.Certificate.PrivateKey.(crypto.Signer)}),
		"RSA signer": popclient.StaticCertificate(tls.Certificate{
			Certificate: unit.ClientFor(rsaKey, "job").Certificate.Certificate, PrivateKey: opaque{rsaKey},
		}),
		"Ed25519": popclient.StaticCertificate(unit.ClientFor(generate(t, "EdDSA"), "job").Certificate),
	} {
		t.Run(name, func(t *testing.T) {
			client := s.client(t, nil, func(o *popclient.MutualTLSOptions) { o.Certificate = source })
			if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
				t.Errorf("got %d, want 200", status)
			}
		})
	}
}

// What no handshake can be made with is refused before one is tried.
func TestCertificateRefused(t *testing.T) {
	ca := popauthtest.NewCA(t)
	owner, other := ca.Client("job"), ca.Client("other")
	dir := t.TempDir()
	certFile, keyFile, err := owner.WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := other.WritePEM(dir)
	if err != nil {
		t.Fatal(err)
	}
	p12 := func(e *pkcs12.Encoder, key any, password string) string {
		t.Helper()
		b, err := e.Encode(key, owner.Certificate.Leaf, nil, password)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, filepath.Join(t.TempDir(), "x.p12"), b)
	}
	own := owner.Certificate.PrivateKey
	signer, _ := own.(crypto.Signer)
	large := write(t, filepath.Join(dir, "large"), make([]byte, 1<<20+1))
	for name, test := range map[string]struct {
		source func(context.Context) (*tls.Certificate, error)
		want   string
	}{
		"no file":           {popclient.CertificateFiles(filepath.Join(dir, "none"), keyFile), "none"},
		"no key file":       {popclient.CertificateFiles(certFile, filepath.Join(dir, "none")), "none"},
		"folder":            {popclient.CertificateFiles(dir, keyFile), "not a regular file"},
		"other's key":       {popclient.CertificateFiles(certFile, otherKey), "does not match"},
		"no key":            {popclient.CertificateFiles(certFile, certFile), "private key"},
		"large":             {popclient.CertificateFiles(large, keyFile), "more than 1048576 bytes"},
		"no PEM":            {popclient.CertificateFile(keyFile, signer), "no certificate"},
		"other's signer":    {popclient.CertificateFile(certFile, other.Certificate.PrivateKey.(crypto.Signer)), "not the certificate's"},
		"no signer":         {popclient.CertificateFile(certFile, nil), "can't sign"},
		"static, none":      {popclient.StaticCertificate(tls.Certificate{}), "no certificate"},
		"static, no key":    {popclient.StaticCertificate(tls.Certificate{Certificate: owner.Certificate.Certificate}), "can't sign"},
		"static, other key": {popclient.StaticCertificate(tls.Certificate{Certificate: owner.Certificate.Certificate, PrivateKey: other.Certificate.PrivateKey}), "not the certificate's"},
		"static, garbage":   {popclient.StaticCertificate(tls.Certificate{Certificate: [][]byte{owner.Certificate.Leaf.Raw, {1}}, PrivateKey: own}), "x509"},
		"P12, no file":      {popclient.CertificatePKCS12(filepath.Join(dir, "none"), ""), "none"},
		"P12, PEM":          {popclient.CertificatePKCS12(certFile, "pass"), "not PKCS#12"},
		"P12, password":     {popclient.CertificatePKCS12(p12(pkcs12.Modern, own, "pass"), "word"), "password incorrect"},
		"P12, no MAC":       {popclient.CertificatePKCS12(p12(pkcs12.Passwordless, own, ""), ""), "not protected"},
		"P12, other's key":  {popclient.CertificatePKCS12(p12(pkcs12.Modern, other.Certificate.PrivateKey, "pass"), "pass"), "not the certificate's"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
				TokenURL: "https://as.example.com/token", ClientID: "job", Certificate: test.source,
			})
			if err == nil || m != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A count of iterations that would keep the processor busy for hours is refused before the first one. Up to the bound,
// files are read.
func TestPKCS12Iterations(t *testing.T) {
	owner := popauthtest.NewCA(t).Client("job")
	for name, encoder := range map[string]*pkcs12.Encoder{"HMAC": pkcs12.Modern2023, "PBMAC1": pkcs12.Modern2026} {
		b, err := encoder.WithIterations(0x010203).Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, nil, "pass")
		if err != nil {
			t.Fatal(err)
		}
		if err := popclient.CheckMAC(b); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
		count, _ := asn1.Marshal(0x010203)
		at := strings.LastIndex(string(b), string(count)) // the MAC comes last
		if at < 0 {
			t.Fatal("no count")
		}
		for n, want := range map[int]bool{maxIterations: true, maxIterations + 1: false} {
			count, err := asn1.Marshal(n) // no longer than the first one: so are the lengths around it
			if err != nil || len(count) != 5 {
				t.Fatalf("got %x", count)
			}
			if err := popclient.CheckMAC(slices.Replace([]byte(string(b)), at, at+5, count...)); (err == nil) != want {
				t.Errorf("%s: %d: got %v", name, n, err)
			}
		}
	}
	for _, b := range [][]byte{nil, {0x30, 0}, []byte("hello")} {
		if popclient.CheckMAC(b) == nil {
			t.Errorf("%x: got no error", b)
		}
	}
}

// maxIterations is how many are done.
const maxIterations = 2_000_000

// A file that is written again in place, at once and of the same size, is another one all the same; one that has not
// been touched for a while is not read again.
func TestFilesAreLookedAt(t *testing.T) {
	ca := popauthtest.NewCA(t)
	key := generate(t, "EdDSA")
	a, b := ca.ClientFor(key, "job"), ca.ClientFor(key, "job")
	file := pemFile(t, a)
	old, _ := os.ReadFile(file)
	content, _ := os.ReadFile(pemFile(t, b))
	for len(old) != len(content) { // signatures differ in size
		if len(old) < len(content) {
			old = append(old, '\n')
		} else {
			content = append(content, '\n')
		}
	}
	write(t, file, old)
	source := popclient.CertificateFile(file, key)
	read := func() *tls.Certificate {
		t.Helper()
		c, err := source(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	read()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, content)
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := read(); string(got.Certificate[0]) != string(b.Certificate.Certificate[0]) {
		t.Error("got the old certificate, want the one that was written in the same moment")
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, past, past); err != nil {
		t.Fatal(err)
	}
	if first, second := read(), read(); first != second {
		t.Error("it was read again")
	}
	settled := read()
	write(t, file, old)
	if got := read(); got == settled || string(got.Certificate[0]) != string(a.Certificate.Certificate[0]) {
		t.Error("got the old certificate, want the new one")
	}
}

func pemFile(t testing.TB, c *popauthtest.Client) string {
	t.Helper()
	file, _, err := c.WritePEM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return file
}
