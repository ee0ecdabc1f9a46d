// Package oddcert makes certificates for tests that OpenSSL can parse and crypto/x509 can't: a proxy may forward one, and
// a token may be bound to it.
package oddcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// Certificate is an odd one.
type Certificate struct {
	Name string
	tls.Certificate
}

// change makes a template, or the fields of what is signed, odd.
type change struct {
	name     string
	template func(*x509.Certificate)
	fields   func(fields []asn1.RawValue, key *ecdsa.PublicKey)
}

// The fields of a TBSCertificate (RFC 5280, section 4.1.2), of version 3.
const (
	serial = 1
	public = 6
)

var changes = []change{
	{name: "negative serial number", fields: func(f []asn1.RawValue, _ *ecdsa.PublicKey) {
		f[serial] = asn1.RawValue{Tag: asn1.TagInteger, Bytes: []byte{0xff, 0x01}}
	}},
	{name: "critical authority key identifier", template: extensions(true, authorityKey, []byte{0x30, 0})},
	{name: "critical subject key identifier", template: extensions(true, subjectKey, []byte{0x04, 1, 7})},
	{name: "extension twice", template: func(c *x509.Certificate) {
		extensions(false, private, []byte{5, 0})(c)
		extensions(false, private, []byte{5, 0})(c)
	}},
	{name: "critical extension twice", template: func(c *x509.Certificate) {
		extensions(true, keyUsage, []byte{3, 2, 7, 0x80})(c)
		extensions(true, keyUsage, []byte{3, 2, 7, 0x80})(c)
	}},
	{name: "URI with a space", template: uri("https://a b/")},
	{name: "URI in UTF-8", template: uri("https://bü.example/")},
	{name: "URI with CR", template: uri("https://a.example/\rx")},
	{name: "URI with LF", template: uri("https://a.example/\nx")},
	{name: "URI with NUL", template: uri("https://a.example/\x00x")},
	{name: "compressed point", fields: func(f []asn1.RawValue, key *ecdsa.PublicKey) {
		uncompressed := point(key) // 4, x, y
		f[public] = publicKey(namedCurve(), append([]byte{2 + uncompressed[64]&1}, uncompressed[1:33]...))
	}},
	{name: "explicit parameters", fields: func(f []asn1.RawValue, key *ecdsa.PublicKey) {
		f[public] = publicKey(explicitCurve(), point(key))
	}},
}

var (
	authorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
	subjectKey   = asn1.ObjectIdentifier{2, 5, 29, 14}
	keyUsage     = asn1.ObjectIdentifier{2, 5, 29, 15}
	alternative  = asn1.ObjectIdentifier{2, 5, 29, 17}
	private      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1} // RFC 5612
	ecPublicKey  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	primeField   = asn1.ObjectIdentifier{1, 2, 840, 10045, 1, 1}
	p256         = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
)

func extensions(critical bool, id asn1.ObjectIdentifier, value []byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

func uri(s string) func(*x509.Certificate) {
	return extensions(false, alternative, marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(s)}}))
}

// Issue makes one of each kind, all with the subject "CN=admin". An expired one is made by a lifetime that is negative.
func Issue(authority *x509.Certificate, signer crypto.Signer, lifetime time.Duration) ([]Certificate, error) {
	var all []Certificate
	for i, odd := range changes {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "admin"},
			NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(lifetime),
		}
		if odd.template != nil {
			odd.template(template)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), signer)
		if err == nil && odd.fields != nil {
			der, err = again(der, signer, func(f []asn1.RawValue) { odd.fields(f, &key.PublicKey) })
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", odd.name, err)
		}
		if _, err := x509.ParseCertificate(der); err == nil {
			return nil, fmt.Errorf("%s: crypto/x509 can parse it by now", odd.name)
		}
		all = append(all, Certificate{odd.name, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}})
	}
	return all, nil
}

// again signs a certificate with other fields.
func again(der []byte, signer crypto.Signer, f func([]asn1.RawValue)) ([]byte, error) {
	var parts, fields []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return nil, err
	}
	if _, err := asn1.Unmarshal(parts[0].FullBytes, &fields); err != nil {
		return nil, err
	}
	f(fields)
	signed := marshal(fields)
	sum := sha256.Sum256(signed)
	signature, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return marshal([]asn1.RawValue{
		{FullBytes: signed}, parts[1], {FullBytes: marshal(asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)})},
	}), nil
}

func publicKey(parameters asn1.RawValue, point []byte) asn1.RawValue {
	return asn1.RawValue{FullBytes: marshal(struct {
		Algorithm struct {
			ID         asn1.ObjectIdentifier
			Parameters asn1.RawValue
		}
		Point asn1.BitString
	}{struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}{ecPublicKey, parameters}, asn1.BitString{Bytes: point, BitLength: 8 * len(point)}})}
}

func namedCurve() asn1.RawValue { return asn1.RawValue{FullBytes: marshal(p256)} }

// explicitCurve is P-256 as SEC 1, appendix C.2, writes a curve without a name.
func explicitCurve() asn1.RawValue {
	p := elliptic.P256().Params()
	bytes := func(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
	return asn1.RawValue{FullBytes: marshal(struct {
		Version int
		Field   struct {
			ID    asn1.ObjectIdentifier
			Prime *big.Int
		}
		Curve    struct{ A, B []byte }
		Base     []byte
		Order    *big.Int
		Cofactor int
	}{
		1, struct {
			ID    asn1.ObjectIdentifier
			Prime *big.Int
		}{primeField, p.P},
		struct{ A, B []byte }{bytes(new(big.Int).Sub(p.P, big.NewInt(3))), bytes(p.B)},
		slices.Concat([]byte{4}, bytes(p.Gx), bytes(p.Gy)), p.N, 1,
	})}
}

func point(key *ecdsa.PublicKey) []byte {
	p, err := key.Bytes()
	if err != nil {
		panic(err) // of a key that was just made
	}
	return p
}

func marshal(v any) []byte {
	b, err := asn1.Marshal(v)
	if err != nil {
		panic(err) // of values that stand here
	}
	return b
}
