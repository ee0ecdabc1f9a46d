package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

func needOpenSSL(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no openssl, and CI is to have it: ", err)
		}
		t.Skip("no openssl to compare with: ", err)
	}
	return path
}

// explained are the reasons for which chains are refused here that OpenSSL accepts. Everything else is a failure.
var explained = map[string]string{
	`common name "`: "OpenSSL leaves the common name out where there is a DNS name beside " +
		"it, which costs a thief nothing",
	"x509: unhandled critical extension": "a root's own critical constraints with a form that crypto/x509 " +
		"doesn't know: a pool doesn't show its roots",
	"not authorized to sign for this name: URI with IP": "crypto/x509 refuses URIs with an IP address below a chain with " +
		"constraints of any form",
	"not authorized to sign for this name: URI with empty host": "crypto/x509 refuses URIs without a host below a chain with " +
		"constraints of any form",
	"not authorized to sign for this name: cannot parse": "crypto/x509 refuses mail addresses that it can't read below a chain " +
		"with constraints of any form",
	"not authorized to sign for this name: x509: cannot parse": "crypto/x509 refuses host names that it can't read below a chain with " +
		"constraints of any form",
	`" is not permitted by any constraint`: "OpenSSL takes the user of https://user:password@host/ for the host; the host is not permitted",
	"is excluded by constraint": "crypto/x509 takes an excluded mail or URI host for the hosts below as well, and a " +
		"wildcard for each name that it stands for",
	"can't be compared with": "a name that readers differ on, such as a host with a dot at the end, is excluded for certain nowhere",
}

// What OpenSSL refuses for its names is refused here; and what is refused here alone, for a reason that is known.
func TestChainsAgainstOpenSSL(t *testing.T) {
	openssl := needOpenSSL(t)
	n := 400
	if testing.Short() {
		n = 60
	}
	const seed = 11
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(seed, seed)))
	both := map[bool]int{}
	counts := map[string]int{}
	dir := t.TempDir()
	for i := range n {
		c := g.chain()
		chains, err := certname.Verify(c.leaf, c.intermediates, x509.VerifyOptions{
			Roots: c.roots(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		accepted, said := c.openssl(t, openssl, dir)
		switch ours := err == nil && len(chains) > 0; {
		case ours && !accepted:
			t.Errorf("VULNERABLE: chain %d is accepted, and OpenSSL says %s\n%s", i, said, c.describe)
		case !ours && accepted:
			why := ""
			for reason := range explained {
				if strings.Contains(err.Error(), reason) {
					why = reason
				}
			}
			if counts[why]++; why == "" {
				t.Errorf("chain %d: OpenSSL accepts it, got %v\n%s", i, err, c.describe)
			}
		default:
			both[ours]++
		}
	}
	t.Logf("agreed: %d accepted, %d refused", both[true], both[false])
	for reason, count := range counts {
		t.Logf("refused here alone: %d: %s (%s)", count, explained[reason], reason)
	}
	if both[true] < n/10 || both[false] < n/10 {
		t.Errorf("got %v, want enough of both for the comparison to mean something", both)
	}
}

// made is a chain of the generator.
type made struct {
	root, leaf    *x509.Certificate
	intermediates []*x509.Certificate
	describe      string
}

func (m *made) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(m.root)
	return pool
}

func (m *made) openssl(t *testing.T, openssl, dir string) (accepted bool, said string) {
	t.Helper()
	write := func(name string, list ...*x509.Certificate) string {
		var text []byte
		for _, c := range list {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"verify", "-no-CApath", "-no-CAstore", "-CAfile", write("root", m.root)}
	if len(m.intermediates) > 0 {
		args = append(args, "-untrusted", write("between", m.intermediates...))
	}
	out, err := exec.Command(openssl, append(args, write("leaf", m.leaf))...).CombinedOutput()
	return err == nil, strings.TrimSpace(string(out))
}

// generator draws chains from names that are near each other.
type generator struct {
	t      testing.TB
	random *mathrand.Rand
	key    *ecdsa.PrivateKey
	serial int64
}

func newGenerator(t testing.TB, random *mathrand.Rand) *generator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &generator{t: t, random: random, key: key}
}

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.random.IntN(len(list))] }

const (
	utf8String, printableString, t61String, ia5String, bmpString = 12, 19, 20, 22, 30
)

func (g *generator) text(s string) asn1.RawValue {
	tag := pick(g, utf8String, utf8String, printableString, t61String, bmpString)
	b := []byte(s)
	if tag == printableString && strings.ContainsAny(s, "@_") {
		tag = utf8String
	}
	if tag == bmpString {
		b = nil
		for _, c := range []byte(s) {
			b = append(b, 0, c)
		}
	}
	return asn1.RawValue{Tag: tag, Bytes: b}
}

var (
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU    = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

type pair struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

func (g *generator) marshal(v any) []byte {
	g.t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		g.t.Fatal(err)
	}
	return b
}

func (g *generator) rdn(pairs ...pair) asn1.RawValue {
	var all [][]byte
	for _, p := range pairs {
		all = append(all, g.marshal(p))
	}
	slices.SortFunc(all, slices.Compare[[]byte]) // DER of a SET OF
	return asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: slices.Concat(all...)}
}

// directory is a name as a constraint has it: a prefix of those below.
func (g *generator) directory() []asn1.RawValue {
	org := pair{oidO, g.text(pick(g, "Partner", "Partner", "Partner", "partner", "PARTNER", " Partner  ", "Example", "Part ner",
		"Part  ner"))}
	unit := pair{oidOU, g.text(pick(g, "Devices", "devices", "Staff"))}
	switch g.random.IntN(8) {
	case 0:
		return []asn1.RawValue{g.rdn(org, unit)}
	case 1, 2:
		return []asn1.RawValue{g.rdn(org), g.rdn(unit)}
	case 3:
		return []asn1.RawValue{g.rdn(unit), g.rdn(org)}
	}
	return []asn1.RawValue{g.rdn(org)}
}

func (g *generator) subject(isLeaf bool) []byte {
	if isLeaf && g.chance(5) {
		return g.marshal([]asn1.RawValue{})
	}
	name := g.directory()
	g.serial++
	cn := pick(g, "batch", "John Smith", "x", "J.S.")
	if isLeaf && g.chance(30) {
		cn = pick(g, "api.partner.example", "api.example.com", "api.partner.example.", "*.example.com", "partner.example")
	}
	if !isLeaf {
		cn = "CA " + big.NewInt(g.serial).String()
	}
	name = append(name, g.rdn(pair{oidCN, g.text(cn)}))
	if g.chance(15) {
		tag := pick(g, ia5String, ia5String, ia5String, utf8String)
		name = append(name, g.rdn(pair{oidEmail, asn1.RawValue{Tag: tag, Bytes: []byte(g.mail())}}))
	}
	return g.marshal(name)
}

func (g *generator) mail() string {
	return pick(g, "boss@", "boss@", "Boss@", "ops@") +
		pick(g, "partner.example", "partner.example", "PARTNER.example", "example.com", "sub.partner.example")
}

func (g *generator) host() string {
	return pick(g, "api.partner.example", "api.partner.example", "PARTNER.EXAMPLE", "partner.example", "x.api.partner.example",
		"api.example.com",
		"xpartner.example", "*.partner.example", "*.example.com", "_x.partner.example")
}

func implicit(tag int, value []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: value}
}

func explicit(tag int, value []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: value}
}

func (g *generator) other(oid asn1.ObjectIdentifier, value string) asn1.RawValue {
	text := g.marshal(asn1.RawValue{Tag: utf8String, Bytes: []byte(value)})
	return explicit(0, slices.Concat(g.marshal(oid), g.marshal(explicit(0, text))))
}

var upn, smtpUTF8 = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 9}

func (g *generator) alternative() asn1.RawValue {
	switch g.random.IntN(12) {
	case 0, 1, 2:
		return implicit(2, []byte(g.host()))
	case 3, 4:
		return implicit(1, []byte(g.mail()))
	case 5, 6:
		return implicit(6, []byte(pick(g, "spiffe://partner.example/a", "spiffe://partner.example", "spiffe://a.example/admin",
			"https://x.partner.example:8443/a",
			"https://partner.example:1/", "https://partner.example:x@a.example/", "https://a.example@partner.example/",
			"https://partner.example/a:b",
			"https://partner.example?a", "HTTPS://PARTNER.example/", "urn:x:y", "https://192.0.2.1/", "https://partner.example./")))
	case 7, 8:
		return implicit(7, pick(g, []byte{10, 1, 2, 3}, []byte{192, 0, 2, 1}, append(make([]byte, 15), 1),
			append(append(make([]byte, 10), 255, 255), 10, 1, 2, 3)))
	case 9, 10:
		return explicit(4, g.marshal(g.directory()))
	}
	return pick(g, g.other(upn, "boss@partner.example"), g.other(smtpUTF8, "boss@partner.example"))
}

func (g *generator) subtree() asn1.RawValue {
	var base asn1.RawValue
	switch g.random.IntN(14) {
	case 0, 1, 2, 3, 4:
		base = explicit(4, g.marshal(g.directory()))
	case 5, 6, 7:
		base = implicit(2, []byte(pick(g, "partner.example", "Partner.Example", ".partner.example", "api.partner.example", "example.com",
			"")))
	case 8, 9:
		base = implicit(1, []byte(pick(g, "partner.example", ".partner.example", "boss@partner.example", "BOSS@partner.example",
			"example.com")))
	case 10, 11:
		base = implicit(6, []byte(pick(g, "partner.example", ".partner.example", "a.example", "PARTNER.example")))
	case 12:
		base = implicit(7, pick(g, []byte{10, 0, 0, 0, 255, 0, 0, 0}, []byte{0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 32),
			[]byte{192, 0, 2, 0, 255, 255, 255, 0}))
	default:
		base = pick(g, g.other(upn, "x"), g.other(smtpUTF8, "x"), implicit(8, []byte{42, 3}))
	}
	der := g.marshal(base)
	if g.chance(2) {
		der = append(der, g.marshal(implicit(pick(g, 0, 1), []byte{1}))...) // minimum or maximum
	}
	return asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: der}
}

func (g *generator) constraints(critical bool) pkix.Extension {
	list := func() []byte {
		var all []byte
		for range 1 + g.random.IntN(3) {
			all = append(all, g.marshal(g.subtree())...)
		}
		return all
	}
	permitted, both := g.chance(70), g.chance(20)
	var der []byte
	if permitted || both {
		der = append(der, g.marshal(explicit(0, list()))...)
	}
	if !permitted || both {
		der = append(der, g.marshal(explicit(1, list()))...)
	}
	return pkix.Extension{
		Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical,
		Value: g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: der}),
	}
}

func (g *generator) issue(subject []byte, extensions []pkix.Extension, parent *x509.Certificate) (*x509.Certificate, error) {
	g.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(g.serial), RawSubject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtraExtensions: extensions, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, g.key.Public(), g.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// chain draws until crypto/x509 can read all of it.
func (g *generator) chain() *made {
	g.t.Helper()
	for range 1000 {
		if m, err := g.draw(); err == nil {
			return m
		}
	}
	g.t.Fatal("no chain that crypto/x509 can read")
	return nil
}

func (g *generator) draw() (*made, error) {
	m := &made{}
	var said strings.Builder
	next := func(percent int, isLeaf bool, parent *x509.Certificate) (*x509.Certificate, error) {
		var extensions []pkix.Extension
		if g.chance(percent) {
			extensions = append(extensions, g.constraints(g.chance(50)))
		}
		if isLeaf && g.chance(60) {
			var all []asn1.RawValue
			for range 1 + g.random.IntN(2) {
				all = append(all, g.alternative())
			}
			extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: g.marshal(all)}}
		}
		c, err := g.issue(g.subject(isLeaf), extensions, parent)
		if err == nil {
			said.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		}
		return c, err
	}
	var err error
	if m.root, err = next(10, false, nil); err != nil {
		return nil, err
	}
	parent := m.root
	for range g.random.IntN(3) {
		if parent, err = next(70, false, parent); err != nil {
			return nil, err
		}
		m.intermediates = append(m.intermediates, parent)
	}
	m.leaf, err = next(0, true, parent)
	m.describe = said.String()
	return m, err
}
