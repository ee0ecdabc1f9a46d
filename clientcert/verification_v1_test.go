package clientcert_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// versionOne issues a certificate without version and extensions, which crypto/x509 only reads.
func versionOne(tb testing.TB, ca *popauthtest.CA, subject []byte, public []byte) *x509.Certificate {
	tb.Helper()
	type body struct {
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  struct{ From, Until time.Time }
		Subject   asn1.RawValue
		Public    asn1.RawValue
	}
	b := body{Serial: big.NewInt(7), Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		Issuer: asn1.RawValue{FullBytes: ca.Certificate.RawSubject}, Subject: asn1.RawValue{FullBytes: subject},
		Public: asn1.RawValue{FullBytes: public}}
	b.Validity.From, b.Validity.Until = time.Now().Add(-time.Hour).UTC(), time.Now().Add(time.Hour).UTC()
	tbs, err := asn1.Marshal(b)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(tbs)
	signature, err := ca.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := asn1.Marshal(struct {
		Body      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, b.Algorithm, asn1.BitString{Bytes: signature, BitLength: len(signature) * 8}})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	if c.Version != 1 {
		tb.Fatalf("version %d", c.Version)
	}
	return c
}

// A leaf of version 1 says as much about its usage as one of version 3 without extensions; an authority of version 1
// doesn't say that it is one.
func TestVersionOne(t *testing.T) {
	root := popauthtest.NewCA(t)
	v := clientcert.Verification{Roots: root.Pool()}
	r := root.Client("leaf").Request("GET", "/", "")
	old := versionOne(t, root, r.TLS.PeerCertificates[0].RawSubject, r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo)
	r.TLS.PeerCertificates = []*x509.Certificate{old}
	required(t, v, r).Is(t, 200)

	between := root.Intermediate("between")
	r = between.Client("leaf").Request("GET", "/", "")
	required(t, v, r).Is(t, 200)
	r.TLS.PeerCertificates[1] = versionOne(t, root, between.Certificate.RawSubject, between.Certificate.RawSubjectPublicKeyInfo)
	required(t, v, r).Is(t, 403)
}
