package popclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
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
	needPKCS12(t)
	t.Parallel()
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
	p12, err := pkcs12.Modern2026.Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, []*x509.Certificate{unit.Certificate},
		"pass")
	if err != nil {
		t.Fatal(err)
	}
	// Some programs write the authority first.
	reversed, err := pkcs12.Modern2023.Encode(owner.Certificate.PrivateKey, unit.Certificate, []*x509.Certificate{owner.Certificate.Leaf},
		"pass")
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
	needPKCS12(t)
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
	locked := write(t, filepath.Join(dir, "locked"), pem.EncodeToMemory(&pem.Block{
		Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0},
	}))
	lockedSEC1 := write(t, filepath.Join(dir, "locked-sec1"), pem.EncodeToMemory(&pem.Block{
		Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"},
		Bytes: []byte{0x30, 0},
	}))
	large := write(t, filepath.Join(dir, "large"), make([]byte, 1<<20+1))
	for name, test := range map[string]struct {
		source func(context.Context) (*tls.Certificate, error)
		want   string
	}{
		"no file":          {popclient.CertificateFiles(filepath.Join(dir, "none"), keyFile), "none"},
		"no key file":      {popclient.CertificateFiles(certFile, filepath.Join(dir, "none")), "none"},
		"folder":           {popclient.CertificateFiles(dir, keyFile), "not a regular file"},
		"other's key":      {popclient.CertificateFiles(certFile, otherKey), "does not match"},
		"no key":           {popclient.CertificateFiles(certFile, certFile), "private key"},
		"locked key":       {popclient.CertificateFiles(certFile, locked), locked + ": the private key is encrypted"},
		"locked SEC 1 key": {popclient.CertificateFiles(certFile, lockedSEC1), lockedSEC1 + ": the private key is encrypted"},
		"large":            {popclient.CertificateFiles(large, keyFile), "more than 1048576 bytes"},
		"no PEM":           {popclient.CertificateFile(keyFile, signer), keyFile + ": no certificate"},
		"other's signer":   {popclient.CertificateFile(certFile, other.Certificate.PrivateKey.(crypto.Signer)), "not the certificate's"},
		"no signer":        {popclient.CertificateFile(certFile, nil), "can't sign"},
		"static, none":     {popclient.StaticCertificate(tls.Certificate{}), "no certificate"},
		"static, no key":   {popclient.StaticCertificate(tls.Certificate{Certificate: owner.Certificate.Certificate}), "can't sign"},
		"static, other key": {popclient.StaticCertificate(tls.Certificate{Certificate: owner.Certificate.Certificate,
			PrivateKey: other.Certificate.PrivateKey}), "not the certificate's"},
		"static, garbage": {popclient.StaticCertificate(tls.Certificate{Certificate: [][]byte{owner.Certificate.Leaf.Raw, {1}},
			PrivateKey: own}), "x509"},
		"P12, no file":  {popclient.CertificatePKCS12(filepath.Join(dir, "none"), ""), "none"},
		"P12, PEM":      {popclient.CertificatePKCS12(certFile, "pass"), "not PKCS#12"},
		"P12, password": {popclient.CertificatePKCS12(p12(pkcs12.Modern, own, "pass"), "word"), "password incorrect"},
		"P12, no MAC":   {popclient.CertificatePKCS12(p12(pkcs12.Passwordless, own, ""), ""), "not protected"},
		"P12, other's key": {popclient.CertificatePKCS12(p12(pkcs12.Modern, other.Certificate.PrivateKey, "pass"), "pass"),
			"not the certificate's"},
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
	needPKCS12(t)
	t.Parallel()
	owner := popauthtest.NewCA(t).Client("job")
	for name, encoder := range map[string]*pkcs12.Encoder{"HMAC": pkcs12.Modern2023, "PBMAC1": pkcs12.Modern2026} {
		b, err := encoder.WithIterations(0x8000).Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, nil, "pass")
		if err != nil {
			t.Fatal(err)
		}
		if err := popclient.CheckMAC(b); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
		count, _ := asn1.Marshal(0x8000)
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
}

// What can't be read up to the count is refused, for a reader of other taste might find one.
func TestPKCS12Broken(t *testing.T) {
	needPKCS12(t)
	owner := popauthtest.NewCA(t).Client("job")
	good, err := pkcs12.Modern2026.WithIterations(1).Encode(owner.Certificate.PrivateKey, owner.Certificate.Leaf, nil, "pass")
	if err != nil || popclient.CheckMAC(good) != nil {
		t.Fatal(err)
	}
	pbkdf2 := "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
	at := strings.LastIndex(string(good), pbkdf2)
	if at < 2 || good[at-2] != 0x30 || good[at+len(pbkdf2)] != 0x30 {
		t.Fatal("no key derivation")
	}
	const set = 0x31 // for a SEQUENCE
	for name, b := range map[string][]byte{
		"nothing":    nil,
		"empty":      {0x30, 0},
		"text":       []byte("hello"),
		"trailing":   append(slices.Clone(good), 0),
		"derivation": slices.Replace(slices.Clone(good), at-2, at-1, set),
		"its salt":   slices.Replace(slices.Clone(good), at+len(pbkdf2), at+len(pbkdf2)+1, set),
	} {
		if popclient.CheckMAC(b) == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// Of two certificates for the key the one that ends last counts, wherever it stands: the other is the one that it has
// replaced.
func TestPKCS12TwoOfOneKey(t *testing.T) {
	needPKCS12(t)
	ca, key := popauthtest.NewCA(t), generate(t, "ES256")
	old := ca.ClientFor(key, "job", func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(-time.Minute) }).Certificate.Leaf
	now := ca.ClientFor(key, "job").Certificate.Leaf
	for _, order := range [][2]*x509.Certificate{{old, now}, {now, old}} {
		b, err := pkcs12.Modern2023.WithIterations(1).Encode(key, order[0], []*x509.Certificate{order[1], ca.Certificate}, "pass")
		if err != nil {
			t.Fatal(err)
		}
		c, err := popclient.CertificatePKCS12(write(t, filepath.Join(t.TempDir(), "x.p12"), b), "pass")(t.Context())
		if err != nil || !c.Leaf.Equal(now) || string(c.Certificate[0]) != string(now.Raw) || len(c.Certificate) != 2 {
			t.Errorf("got %v, %v, want the one that ends last and its authority", c, err)
		}
	}
}

// maxIterations is how many are done.
const maxIterations = 2_000_000
