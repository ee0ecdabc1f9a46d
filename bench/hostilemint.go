package bench

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// mint makes certificates that differ in their serial number alone, each with a right signature, at the cost of that
// signature.
type mint struct {
	tb     popauthtest.TB
	raw    []byte
	serial int // where it begins
	signed []byte
	at     int // where what is signed begins
	key    ed25519.PrivateKey
}

const serialSize = 8

func newMint(tb popauthtest.TB, template *x509.Certificate, issuer []byte, public any, key ed25519.PrivateKey) *mint {
	serial := append([]byte{0x7f}, bytes.Repeat([]byte{0x11}, serialSize-1)...)
	template.SerialNumber = new(big.Int).SetBytes(serial)
	c := issued(tb, template, nil, issuer, public, key)
	return &mint{
		tb: tb, raw: c.Raw, serial: bytes.Index(c.Raw, serial), signed: c.RawTBSCertificate,
		at: bytes.Index(c.Raw, c.RawTBSCertificate), key: key,
	}
}

// der is the nth.
func (m *mint) der(n int) []byte {
	raw := bytes.Clone(m.raw)
	binary.BigEndian.PutUint32(raw[m.serial+serialSize-4:], uint32(n)) //nolint:gosec // G115: fewer than that
	copy(raw[len(raw)-ed25519.SignatureSize:], ed25519.Sign(m.key, raw[m.at:m.at+len(m.signed)]))
	return raw
}

func (m *mint) certificate(n int) *x509.Certificate {
	c, err := x509.ParseCertificate(m.der(n))
	if err != nil {
		m.tb.Fatalf("bench: %v", err)
	}
	return c
}

// issued makes a certificate in the issuer's name. A subject in the template counts where there is none in DER.
func issued(tb popauthtest.TB, template *x509.Certificate, subject, issuer []byte, public any, by crypto.Signer) *x509.Certificate {
	own := *template
	own.RawSubject = subject
	if own.SerialNumber == nil {
		own.SerialNumber = big.NewInt(1)
	}
	own.NotBefore, own.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, &own, &x509.Certificate{RawSubject: issuer, SerialNumber: big.NewInt(1)}, public, by)
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	return c
}

func subject(tb popauthtest.TB, name string) []byte {
	raw, err := asn1.Marshal(pkix.Name{CommonName: name}.ToRDNSequence())
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	return raw
}

// client and authority are templates.
func client(names ...string) *x509.Certificate {
	return &x509.Certificate{
		DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func authority(names ...string) *x509.Certificate {
	return &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: names}
}

func newEd25519(tb popauthtest.TB) ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	return key
}

func newECDSA(tb popauthtest.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatalf("bench: %v", err)
	}
	return key
}

// modulus is a number like that of an RSA key. Nobody has the private key, and nobody who makes a wrong signature needs it.
func modulus(bits int) *rsa.PublicKey {
	b := make([]byte, bits/8)
	_, _ = rand.Read(b) // never fails
	b[0] |= 0x80
	b[len(b)-1] |= 1
	return &rsa.PublicKey{N: new(big.Int).SetBytes(b), E: 65537}
}
