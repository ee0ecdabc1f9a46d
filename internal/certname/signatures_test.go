package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// mesh is a leaf and layers of authorities: each of a layer has issued each of the layer below.
type mesh struct {
	t             *testing.T
	serial        int64
	intermediates []*x509.Certificate
}

func (m *mesh) issue(name, issuer string, own, by *ecdsa.PrivateKey, isCA bool) *x509.Certificate {
	m.t.Helper()
	m.serial++
	template := &x509.Certificate{SerialNumber: big.NewInt(m.serial), Subject: pkix.Name{CommonName: name},
		DNSNames:  []string{fmt.Sprintf("x%d.example", m.serial)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: isCA, BasicConstraintsValid: isCA}
	if isCA {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}, SerialNumber: big.NewInt(1)}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, own.Public(), by)
	if err != nil {
		m.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func key(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// layers returns a leaf below so many authorities, layer by layer; the last ones are named as issued by root.
func (m *mesh) layers(curve elliptic.Curve, root *ecdsa.PrivateKey, counts ...int) *x509.Certificate {
	k := key(m.t, curve)
	name := func(layer int) string {
		if layer == len(counts) {
			return "root"
		}
		return fmt.Sprintf("layer %d", layer)
	}
	for layer, n := range counts {
		by := k
		if layer == len(counts)-1 {
			by = root
		}
		for range n {
			m.intermediates = append(m.intermediates, m.issue(name(layer), name(layer+1), k, by, true))
		}
	}
	return m.issue("leaf", name(0), key(m.t, elliptic.P256()), k, false)
}

// What a caller sends decides how many signatures are checked: its bound is kept, and ordinary ways are within it.
func TestSignaturesAreBounded(t *testing.T) {
	rootKey := key(t, elliptic.P256())
	for name, tt := range map[string]struct {
		curve  elliptic.Curve
		counts []int
		passes bool
	}{
		"one":                            {elliptic.P256(), []int{1}, true},
		"two keys of one name":           {elliptic.P256(), []int{2}, true},
		"two keys of two names":          {elliptic.P256(), []int{2, 2}, true},
		"the same, P-384":                {elliptic.P384(), []int{2, 2}, true},
		"nine in a row":                  {elliptic.P256(), []int{1, 1, 1, 1, 1, 1, 1, 1}, true},
		"three in a row, P-521":          {elliptic.P521(), []int{1, 1, 1}, true},
		"twelve":                         {elliptic.P256(), []int{3, 3}, true},
		"thirteen":                       {elliptic.P256(), []int{1, 3, 3}, false},
		"fourteen, two by two":           {elliptic.P256(), []int{2, 2, 2}, false},
		"two by two, to the full length": {elliptic.P256(), []int{2, 2, 2, 2, 2}, false},
		"of two, P-521":                  {elliptic.P521(), []int{2, 2}, false},
	} {
		m := &mesh{t: t}
		root := m.issue("root", "root", rootKey, rootKey, true)
		pool := x509.NewCertPool()
		pool.AddCert(root)
		leaf := m.layers(tt.curve, rootKey, tt.counts...)
		o := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		chains, err := certname.Verify(leaf, append(m.intermediates, m.intermediates...), o) // twice is once
		switch {
		case tt.passes && (err != nil || len(chains) == 0):
			t.Errorf("%s: got %v", name, err)
		case !tt.passes && (err == nil || !strings.Contains(err.Error(), "more ways to a root")):
			t.Errorf("%s: got %d ways, %v, want the bound", name, len(chains), err)
		}
	}
}

// What may sign nothing opens no way, and is no reason to refuse one.
func TestCertificatesThatMayNotSign(t *testing.T) {
	rootKey := key(t, elliptic.P256())
	m := &mesh{t: t}
	pool := x509.NewCertPool()
	pool.AddCert(m.issue("root", "root", rootKey, rootKey, true))
	issuing := key(t, elliptic.P256())
	m.intermediates = []*x509.Certificate{m.issue("layer 0", "root", issuing, rootKey, true)}
	leaf := m.issue("leaf", "layer 0", key(t, elliptic.P256()), issuing, false)
	leaf.AuthorityKeyId = []byte("of no certificate") // so that it isn't this that tells the right one
	for range 2 * certname.MaxSignatures {
		m.intermediates = append(m.intermediates, m.issue("layer 0", "root", key(t, elliptic.P256()), rootKey, false))
	}
	chains, err := certname.Verify(leaf, m.intermediates,
		x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(chains) != 1 {
		t.Errorf("got %d ways, %v, want one", len(chains), err)
	}
}

// A way may have ten certificates, and who has sent a longer one is told.
func TestLongWay(t *testing.T) {
	rootKey := key(t, elliptic.P256())
	for n, want := range map[int]string{8: "", 9: "more than 10 certificates"} {
		m := &mesh{t: t}
		pool := x509.NewCertPool()
		pool.AddCert(m.issue("root", "root", rootKey, rootKey, true))
		leaf := m.layers(elliptic.P256(), rootKey, slices.Repeat([]int{1}, n)...)
		chains, err := certname.Verify(leaf, m.intermediates,
			x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if (err == nil) != (want == "") || (len(chains) == 1) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d intermediates: got %d ways, %v, want %q", n, len(chains), err, want)
		}
	}
}

// Names that are read once say what Has says of each.
func TestNames(t *testing.T) {
	m := &mesh{t: t}
	k := key(t, elliptic.P256())
	c := m.issue("x", "x", k, k, false)
	n := certname.Read(c)
	for _, wanted := range []string{"x1.example", "X1.Example", "x2.example", "", "x1.example."} {
		if got, want := n.Has(certname.DNS, wanted), certname.Has(c, certname.DNS, wanted); got != want {
			t.Errorf("%q: got %t, want %t", wanted, got, want)
		}
		if n.Has(certname.URI, wanted) || n.Has(certname.Mail, wanted) {
			t.Errorf("VULNERABLE: %q is of another form", wanted)
		}
	}
	if (certname.Names{}).Has(certname.DNS, "") {
		t.Error("VULNERABLE: no names have a name")
	}
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal([]int{2, 5, 29, 17}) {
			own := append([]byte{0x30, 14, 0x82, 10}, "x1.example"...)
			c.Extensions[i].Value = append(own, 5, 0) // which is no name
		}
	}
	if certname.Read(c).Has(certname.DNS, "x1.example") {
		t.Error("VULNERABLE: a name is taken from what can't be read")
	}
}

// The figures that docs/certificates.md gives for honest authorities.
func TestHonestConstraints(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	subject := func(s string) []byte { return g.marshal([]asn1.RawValue{g.rdn(pair{oidO, utf8Value(s)})}) }
	domains := func(n int) (all []asn1.RawValue) {
		for i := range n {
			all = append(all, implicit(2, fmt.Appendf(nil, "d%d.example", i)))
		}
		return all
	}
	root, err := g.issue(subject("Root"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	for name, tt := range map[string]struct {
		permitted, names []asn1.RawValue
		says             string
	}{
		"300 domains":              {domains(300), domains(1), ""},
		"400 domains":              {domains(400), domains(1), "comparisons"},
		"100 domains and 40 names": {domains(100), domains(40), "comparisons"},
		"urn": {domains(1), append(domains(1), implicit(6, []byte("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"))),
			"URI with empty host"},
	} {
		between, err := g.issue(subject("CA"), []pkix.Extension{g.limitedTo(0, tt.permitted...)}, root)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := g.issue(subject("x"), g.bearing(tt.names...), between)
		if err != nil {
			t.Fatal(err)
		}
		_, err = certname.Verify(leaf, []*x509.Certificate{between},
			x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}
