package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// limitedTo is an extension with many subtrees.
func (g *generator) limitedTo(kind int, bases ...asn1.RawValue) pkix.Extension {
	sequence := func(b []byte) asn1.RawValue {
		return asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: b}
	}
	var list []byte
	for _, base := range bases {
		list = append(list, g.marshal(sequence(g.marshal(base)))...)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: g.marshal(sequence(g.marshal(explicit(kind, list))))}
}

// hostile are chains that are as much work as their size can make: each of about 118 kB, of all that crypto/tls reads.
func hostile(g *generator) map[string][][]*x509.Certificate {
	repeat := func(n int, f func(i int) asn1.RawValue) []asn1.RawValue {
		all := make([]asn1.RawValue, n)
		for i := range all {
			all[i] = f(i)
		}
		return all
	}
	subject := func(pairs ...pair) []byte {
		rdns := []asn1.RawValue{}
		for _, p := range pairs {
			rdns = append(rdns, g.rdn(p))
		}
		return g.marshal(rdns)
	}
	chain := func(names, bases []asn1.RawValue) []*x509.Certificate {
		leaf := &x509.Certificate{RawSubject: subject(pair{oidCN, utf8Value("x")}), RawIssuer: []byte{1}, Extensions: g.bearing(names...)}
		ca := &x509.Certificate{RawSubject: subject(pair{oidCN, utf8Value("ca")}), RawIssuer: []byte{1},
			Extensions: []pkix.Extension{g.limitedTo(excluded, bases...)}}
		return []*x509.Certificate{leaf, ca}
	}
	dns := func(s string) func(int) asn1.RawValue {
		return func(i int) asn1.RawValue { return implicit(2, fmt.Appendf(nil, s, i)) }
	}
	directory := func(n, length int) func(int) asn1.RawValue {
		return func(i int) asn1.RawValue {
			var pairs []pair
			for j := range n {
				pairs = append(pairs, pair{oidO, utf8Value(strings.Repeat("p", length) + fmt.Sprint(i*j))})
			}
			return explicit(4, subject(pairs...))
		}
	}
	one := chain(repeat(3500, dns("n%d.example")), repeat(3500, dns("c%d.example")))
	levels := []*x509.Certificate{one[0]}
	for range 8 {
		levels = append(levels, chain(repeat(400, dns("n%d.example")), repeat(600, dns("c%d.example")))[1])
	}
	longDN := &x509.Certificate{RawSubject: subject(slices.Repeat([]pair{{oidO, utf8Value("p")}}, 4000)...), RawIssuer: []byte{1}}
	return map[string][][]*x509.Certificate{
		"names × subtrees":     {one},
		"just within reading":  {chain(repeat(400, dns("n%d.example")), repeat(400, dns("c%d.example")))},
		"sixteen chains":       slices.Repeat([][]*x509.Certificate{one}, 16),
		"eight levels":         {levels},
		"directory names":      {chain(repeat(200, directory(4, 1)), repeat(200, directory(4, 1)))},
		"long directory names": {chain(repeat(8, directory(2, 3000)), repeat(8, directory(2, 3000)))},
		"a long subject":       {{longDN, one[1]}, {longDN, longDN, one[1]}},
		"an authority's long name": {{one[0], {
			RawSubject: longDN.RawSubject, RawIssuer: []byte{1},
			Extensions: []pkix.Extension{g.limitedTo(permitted, implicit(2, []byte("other.example")))},
		}}},
		"equal names":    {chain(repeat(60, dns("n%0.0d.example")), repeat(60, dns("m%0.0d.example")))},
		"long DNS names": {chain(repeat(12, dns(strings.Repeat("a.", 2000)+"%d")), repeat(12, dns(strings.Repeat("a.", 2000)+"%d")))},
		"URIs": {chain(repeat(50, func(i int) asn1.RawValue {
			return implicit(6, fmt.Appendf(nil, "https://%d.example/%s", i, strings.Repeat("x", 1000)))
		}),
			repeat(60, func(i int) asn1.RawValue { return implicit(6, fmt.Appendf(nil, "c%d.example", i)) }))},
		"tiny names": {chain(repeat(20000, func(int) asn1.RawValue { return implicit(2, nil) }),
			repeat(20000, func(int) asn1.RawValue { return implicit(1, nil) }))},
		"other names": {chain(repeat(60, func(i int) asn1.RawValue { return g.other(asn1.ObjectIdentifier{1, 2, i}, "x") }),
			repeat(60, func(i int) asn1.RawValue { return g.other(asn1.ObjectIdentifier{1, 3, i}, "x") }))},
		"mail": {chain(repeat(60, func(i int) asn1.RawValue { return implicit(1, fmt.Appendf(nil, "boss@%d.example", i)) }),
			repeat(60, func(i int) asn1.RawValue { return implicit(1, fmt.Appendf(nil, "boss@c%d.example", i)) }))},
	}
}

func verification(tb testing.TB) func() {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) {
			tb.Fatal("signature")
		}
	}
}

// BenchmarkHostile reports what a chain costs in verifications of a signature.
func BenchmarkHostile(b *testing.B) {
	g := newGenerator(b, mathrand.New(mathrand.NewPCG(1, 1)))
	verify := verification(b)
	for name, chains := range hostile(g) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = certname.Holding(chains)
			}
			each := b.Elapsed() / time.Duration(b.N)
			start := time.Now()
			for range 200 {
				verify()
			}
			b.ReportMetric(float64(each)/float64(time.Since(start)/200), "verifications/op")
		})
	}
}

// What is read once is not paid for again, on whatever chain or level it comes back; and all chains share one bound.
func TestWork(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	empty := g.marshal([]asn1.RawValue{})
	authority := func(kind, n int) *x509.Certificate {
		var bases []asn1.RawValue
		for i := range n {
			bases = append(bases, implicit(2, fmt.Appendf(nil, "c%d.example", i)))
		}
		return &x509.Certificate{RawSubject: empty, RawIssuer: []byte{1}, Extensions: []pkix.Extension{g.limitedTo(kind, bases...)}}
	}
	leaf := many(g, 100)
	levels := []*x509.Certificate{leaf, authority(excluded, 4), authority(excluded, 4), authority(excluded, 4), authority(excluded, 4)}
	if err := certname.Check(levels); err != nil {
		t.Errorf("four levels: got %v", err)
	}
	good := []*x509.Certificate{leaf, authority(excluded, 2)}
	if chains, err := certname.Holding([][]*x509.Certificate{good, good, good, good}); err != nil || len(chains) != 4 {
		t.Errorf("four chains: got %d, %v", len(chains), err)
	}
	bad := []*x509.Certificate{leaf, authority(permitted, 1)}
	if _, err := certname.Holding([][]*x509.Certificate{bad, bad, bad, good}); err != nil {
		t.Errorf("the fourth is good: got %v", err)
	}
	if chains, err := certname.Holding([][]*x509.Certificate{bad, bad, bad, bad, good}); err == nil ||
		!strings.Contains(err.Error(), "the first 4 of 5 ways to a root") {
		t.Errorf("the fifth is good: got %d, %v, want it not looked at", len(chains), err)
	}
	var dear [][]*x509.Certificate
	for range 4 {
		dear = append(dear, []*x509.Certificate{many(g, 40), authority(excluded, 40)})
	}
	if chains, err := certname.Holding(dear); err != nil || len(chains) == 0 || len(chains) > 2 {
		t.Errorf("four that are too much together: got %d, %v, want what was looked at before", len(chains), err)
	}
	for name, chains := range hostile(g) {
		if _, err := certname.Holding(chains); err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

// Verify bounds what crypto/x509 has to look at, too, wherever it comes from; a chain without constraints is not read.
func TestWorkOfVerify(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	name := func(s string) []byte { return g.marshal([]asn1.RawValue{g.rdn(pair{oidO, utf8Value(s)})}) }
	root, err := g.issue(name("Root"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := g.issue(name("Leaf"), many(g, 600).Extensions, root)
	if err != nil {
		t.Fatal(err)
	}
	small, err := g.issue(name("Leaf"), nil, root)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := g.issue(name("Between"), nil, root)
	if err != nil {
		t.Fatal(err)
	}
	junk, err := g.issue(name("Between"), []pkix.Extension{wide(g, 600)}, root)
	if err != nil {
		t.Fatal(err)
	}
	little, err := g.issue(name("Between"), []pkix.Extension{wide(g, 1)}, root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	o := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for what, tt := range map[string]struct {
		leaf, between *x509.Certificate
		refused       bool
	}{
		"no constraints":                      {leaf, plain, false},
		"few constraints, few names":          {small, little, false},
		"constraints beside the way":          {small, junk, true},
		"many names, constraints beside them": {leaf, little, true},
	} {
		_, err := certname.Verify(tt.leaf, []*x509.Certificate{tt.between}, o)
		if (err != nil) != tt.refused || err != nil && !strings.Contains(err.Error(), "comparisons") {
			t.Errorf("%s: got %v, want refused %t", what, err, tt.refused)
		}
	}
	if !certname.Has(many(g, 1024), certname.DNS, "x0.example") || certname.Has(many(g, 1025), certname.DNS, "x0.example") {
		t.Error("1024 names can be asked about, and no more")
	}
	if _, ok := certname.URIs(many(g, 1025)); ok {
		t.Error("more than 1024 names are read")
	}
}
