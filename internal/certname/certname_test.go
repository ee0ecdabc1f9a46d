package certname_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/certname"
)

const (
	permitted = 0
	excluded  = 1
)

// limited is an extension with one subtree.
func (g *generator) limited(kind int, base asn1.RawValue, after ...byte) pkix.Extension {
	sequence := func(b []byte) []byte {
		return g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: b})
	}
	subtree := sequence(slices.Concat(g.marshal(base), after))
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: sequence(g.marshal(explicit(kind, subtree)))}
}

func (g *generator) bearing(names ...asn1.RawValue) []pkix.Extension {
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: g.marshal(names)}}
}

func utf8Value(s string) asn1.RawValue { return asn1.RawValue{Tag: utf8String, Bytes: []byte(s)} }

// Each rule by itself. What the oracle draws seldom stands here too.
func TestCheck(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	uri, mail, dns := func(s string) asn1.RawValue { return implicit(6, []byte(s)) },
		func(s string) asn1.RawValue { return implicit(1, []byte(s)) },
		func(s string) asn1.RawValue { return implicit(2, []byte(s)) }
	dir := func(pairs ...pair) asn1.RawValue {
		var rdns []asn1.RawValue
		for _, p := range pairs {
			rdns = append(rdns, g.rdn(p))
		}
		return explicit(4, g.marshal(rdns))
	}
	org := func(s string) pair { return pair{oidO, utf8Value(s)} }
	cn := func(s string) pair { return pair{oidCN, utf8Value(s)} }
	for _, tt := range []struct {
		name    string
		kind    int
		base    asn1.RawValue
		after   []byte // the base
		subject []pair
		san     []asn1.RawValue
		refused bool
	}{
		{name: "directory", base: dir(org("Partner")), subject: []pair{org("Partner"), cn("x")}},
		{name: "directory, another", base: dir(org("Partner")), subject: []pair{org("Example"), cn("x")}, refused: true},
		{name: "directory, later RDN", base: dir(org("Partner")), subject: []pair{cn("x"), org("Partner")}, refused: true},
		{name: "directory, shorter", base: dir(org("Partner"), cn("x")), subject: []pair{org("Partner")}, refused: true},
		{name: "directory, case and spaces", base: dir(org("Part ner")), subject: []pair{org("  PART   NER ")}},
		{name: "directory, another type", base: dir(org("Partner")), subject: []pair{{oidOU, utf8Value("Partner")}}, refused: true},
		{name: "directory, a value that is no string", base: dir(org("Partner")),
			subject: []pair{{oidO, asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("Partner")}}}, refused: true},
		{name: "directory, no text", kind: excluded, base: dir(org("Partner")),
			subject: []pair{{oidO, asn1.RawValue{Tag: bmpString, Bytes: []byte{0xd8, 0}}}}, refused: true},
		{name: "directory, half a character", kind: excluded, base: dir(org("Partner")),
			subject: []pair{{oidO, asn1.RawValue{Tag: bmpString, Bytes: []byte{0}}}}, refused: true},
		{name: "directory, universal string", kind: excluded, base: dir(org("P")),
			subject: []pair{{oidO, asn1.RawValue{Tag: 28, Bytes: []byte{0, 0, 0, 'p'}}}}, refused: true},
		{name: "directory, excluded", kind: excluded, base: dir(org("partner")), subject: []pair{org("Partner")}, refused: true},
		{name: "directory, not excluded", kind: excluded, base: dir(org("Partner")), subject: []pair{org("Example")}},
		{name: "directory, empty subject", base: dir(org("Partner"))},
		{name: "directory as alternative", base: dir(org("Partner")), subject: []pair{org("Partner")},
			san: []asn1.RawValue{dir(org("Example"))}, refused: true},
		{name: "directory, unreadable alternative", base: dns("x.example"),
			san: []asn1.RawValue{dns("x.example"), explicit(4, []byte{5, 0})}, refused: true},
		{name: "minimum", base: dir(org("Partner")), after: []byte{0x80, 1, 1}, subject: []pair{org("Partner")}, refused: true},
		{name: "minimum, of a form that isn't there", base: dns("x.example"), after: []byte{0x80, 1, 1}, subject: []pair{org("Partner")}},
		{name: "common name", base: dns("partner.example"), subject: []pair{cn("api.example.com")}, refused: true},
		{name: "common name beside a DNS name", base: dns("partner.example"), subject: []pair{cn("api.example.com")},
			san: []asn1.RawValue{dns("partner.example")}, refused: true},
		{name: "common name, no host", base: dns("partner.example"), subject: []pair{cn("John Smith")}},
		{name: "common name, NUL at the end", base: dns("partner.example"), subject: []pair{cn("api.example.com\x00")}, refused: true},
		{name: "common name, NUL", base: dir(org("Partner")), subject: []pair{org("Partner"), cn("api.example.com\x00.partner.example")},
			refused: true},
		{name: "DNS", base: dns("partner.example"), san: []asn1.RawValue{dns("a.PARTNER.example")}},
		{name: "DNS, no label", base: dns("partner.example"), san: []asn1.RawValue{dns("xpartner.example")}, refused: true},
		{name: "DNS, dot in front", base: dns(".partner.example"), san: []asn1.RawValue{dns("partner.example")}, refused: true},
		{name: "DNS, dot at the end", kind: excluded, base: dns("partner.example"), san: []asn1.RawValue{dns("partner.example.")},
			refused: true},
		{name: "DNS, everything excluded", kind: excluded, base: dns(""), san: []asn1.RawValue{dns("x.example")}, refused: true},
		{name: "mail", base: mail("partner.example"), san: []asn1.RawValue{mail("a@Partner.example")}},
		{name: "mail, host below", base: mail("partner.example"), san: []asn1.RawValue{mail("a@x.partner.example")}, refused: true},
		{name: "mail, hosts below", base: mail(".partner.example"), san: []asn1.RawValue{mail("a@x.partner.example")}},
		{name: "mail, one box", base: mail("a@partner.example"), san: []asn1.RawValue{mail("A@partner.example")}, refused: true},
		{name: "mail in the subject", base: mail("partner.example"),
			subject: []pair{{oidEmail, asn1.RawValue{Tag: ia5String, Bytes: []byte("boss@example.com")}}}, refused: true},
		{name: "mail in the subject, its right", base: mail("partner.example"),
			subject: []pair{{oidEmail, asn1.RawValue{Tag: ia5String, Bytes: []byte("boss@partner.example")}}}},
		{name: "mail in the subject, another string", base: dns("x.example"), subject: []pair{{oidEmail, utf8Value("boss@example.com")}},
			refused: true},
		{name: "mail, without a host", kind: excluded, base: mail("x.example"), san: []asn1.RawValue{mail("boss")}, refused: true},
		{name: "mail in UTF-8", base: mail("partner.example"), san: []asn1.RawValue{g.other(smtpUTF8, "a@partner.example")}, refused: true},
		{name: "another otherName beside mail", base: mail("partner.example"), san: []asn1.RawValue{g.other(upn, "a@example.com")}},
		{name: "otherName", base: g.other(upn, "x"), san: []asn1.RawValue{g.other(upn, "x")}, refused: true},
		{name: "otherName of another type", base: g.other(smtpUTF8, "x"), san: []asn1.RawValue{g.other(upn, "x")}},
		{name: "registered ID", kind: excluded, base: implicit(8, []byte{42, 3}), san: []asn1.RawValue{implicit(8, []byte{42, 4})},
			refused: true},
		{name: "URI", base: uri("partner.example"), san: []asn1.RawValue{uri("spiffe://partner.example/a")}},
		{name: "URI, another", base: uri("partner.example"), san: []asn1.RawValue{uri("spiffe://a.example/a")}, refused: true},
		{name: "URI, host below", base: uri("partner.example"), san: []asn1.RawValue{uri("spiffe://x.partner.example/a")}, refused: true},
		{name: "URI, hosts below", base: uri(".partner.example"), san: []asn1.RawValue{uri("https://x.partner.example:8443/a")}},
		{name: "URI, user", base: uri("partner.example"), san: []asn1.RawValue{uri("https://partner.example:x@a.example/")}, refused: true},
		{name: "URI, query", base: uri("partner.example"), san: []asn1.RawValue{uri("https://partner.example?/")}, refused: true},
		{name: "URI, colon in the path", base: uri("partner.example"), san: []asn1.RawValue{uri("https://partner.example/a:b")},
			refused: true},
		{name: "URI, colon behind the port", base: uri("partner.example"), san: []asn1.RawValue{uri("https://partner.example:1/a:b")},
			refused: true},
		{name: "URI without a host", kind: excluded, base: uri("x.example"), san: []asn1.RawValue{uri("urn:x:y")}, refused: true},
		{name: "IP", base: implicit(7, []byte{10, 0, 0, 0, 255, 0, 0, 0}), san: []asn1.RawValue{implicit(7, []byte{10, 1, 2, 3})}},
		{name: "IP, another", base: implicit(7, []byte{10, 0, 0, 0, 255, 0, 0, 0}),
			san: []asn1.RawValue{implicit(7, []byte{11, 1, 2, 3})}, refused: true},
		{name: "IP, another version", base: implicit(7, make([]byte, 8)), san: []asn1.RawValue{implicit(7, make([]byte, 16))},
			refused: true},
		{name: "IP, a length of none", kind: excluded, base: implicit(7, make([]byte, 8)),
			san: []asn1.RawValue{implicit(7, make([]byte, 5))}, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rdns []asn1.RawValue
			for _, p := range tt.subject {
				rdns = append(rdns, g.rdn(p))
			}
			leaf := &x509.Certificate{RawSubject: g.marshal(rdns), RawIssuer: []byte{1}}
			if tt.san != nil {
				leaf.Extensions = g.bearing(tt.san...)
			}
			ca := &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}),
				Extensions: []pkix.Extension{g.limited(tt.kind, tt.base, tt.after...)}}
			err := certname.Check([]*x509.Certificate{leaf, ca})
			if got := err != nil; got != tt.refused {
				t.Errorf("got %v, want refused %t", err, tt.refused)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("got an error of %d bytes", len(err.Error()))
			}
		})
	}
}

// Names of authorities are held as well, but for those that issue themselves; all constraints above count.
func TestCheckAuthorities(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	named := func(org string) []byte { return g.marshal([]asn1.RawValue{g.rdn(pair{oidO, utf8Value(org)})}) }
	partner := []pkix.Extension{g.limited(permitted, explicit(4, named("Partner")))}
	leaf := &x509.Certificate{RawSubject: named("Partner"), RawIssuer: named("Between")}
	between := &x509.Certificate{RawSubject: named("Between"), RawIssuer: named("Root")}
	again := &x509.Certificate{RawSubject: named("Between"), RawIssuer: named("Between")}
	root := &x509.Certificate{RawSubject: named("Root"), RawIssuer: named("Root"), Extensions: partner}
	plain := &x509.Certificate{RawSubject: named("Root"), RawIssuer: named("Root")}
	self := &x509.Certificate{RawSubject: named("Example"), RawIssuer: named("Example")}
	broken := &x509.Certificate{RawSubject: named("Root"), Extensions: []pkix.Extension{{Id: partner[0].Id, Value: []byte{5, 0}}}}
	for name, tt := range map[string]struct {
		chain   []*x509.Certificate
		refused string
	}{
		"no constraints":          {[]*x509.Certificate{leaf, between, plain}, ""},
		"an authority's name":     {[]*x509.Certificate{leaf, between, root}, "Between"},
		"a self-issued authority": {[]*x509.Certificate{leaf, again, root}, ""},
		"a self-issued leaf":      {[]*x509.Certificate{self, root}, "Example"},
		"a root alone":            {[]*x509.Certificate{root}, ""},
		"constraints unreadable":  {[]*x509.Certificate{leaf, broken}, "can't be read"},
		"subject unreadable":      {[]*x509.Certificate{{RawSubject: []byte{5, 0}}, root}, "subject"},
		"alternatives unreadable": {[]*x509.Certificate{{RawSubject: named("Partner"),
			Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{5, 0}}}}, root}, "alternative"},
		"too many names": {[]*x509.Certificate{many(g, 600), {RawSubject: named("Root"), Extensions: []pkix.Extension{wide(g, 600)}}},
			"comparisons"},
		"many names": {[]*x509.Certificate{many(g, 40), {RawSubject: named("Root"), Extensions: []pkix.Extension{wide(g, 40)}}}, ""},
	} {
		err := certname.Check(tt.chain)
		if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%s: got %v, want %q", name, err, tt.refused)
		}
	}
	if chains, err := certname.Holding([][]*x509.Certificate{{leaf, between, root}, {leaf, between, plain}}); err != nil ||
		len(chains) != 1 || chains[0][2] != plain {
		t.Errorf("got %v, %v, want the chain that holds", chains, err)
	}
	if chains, err := certname.Holding(nil); chains != nil || err == nil {
		t.Errorf("no chain: got %v, %v", chains, err)
	}
}

func many(g *generator, n int) *x509.Certificate {
	var all []asn1.RawValue
	for i := range n {
		all = append(all, implicit(2, []byte("x"+big.NewInt(int64(i)).String()+".example")))
	}
	return &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}), Extensions: g.bearing(all...)}
}

func wide(g *generator, n int) pkix.Extension {
	subtree := g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: g.marshal(implicit(2, []byte("other.example")))})
	list := slices.Repeat(subtree, n)
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: g.marshal(asn1.RawValue{
		Tag: asn1.TagSequence, IsCompound: true, Bytes: g.marshal(explicit(excluded, list)),
	})}
}

// One comparison for every name.
func TestHas(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	c := &x509.Certificate{Extensions: g.bearing(implicit(2, []byte("A.example")), implicit(1, []byte("Boss@Example.com")),
		implicit(6, []byte("https://x/#")), implicit(7, []byte{10, 0, 0, 1}))}
	for _, tt := range []struct {
		form certname.Form
		name string
		want bool
	}{
		{certname.DNS, "a.EXAMPLE", true}, {certname.DNS, "a.example.", false}, {certname.DNS, "b.example", false},
		{certname.URI, "A.example", false},
		{certname.Mail, "Boss@example.COM", true}, {certname.Mail, "boss@example.com", false}, {certname.Mail, "Boss", false},
		{certname.URI, "https://x/#", true}, {certname.URI, "https://x/", false}, {certname.URI, "HTTPS://x/#", false},
		{certname.IP, "\x0a\x00\x00\x01", true}, {certname.IP, "\x0a\x00\x00\x02", false},
	} {
		if got := certname.Has(c, tt.form, tt.name); got != tt.want {
			t.Errorf("%v %q: got %t, want %t", tt.form, tt.name, got, tt.want)
		}
	}
	kelvin := &x509.Certificate{Extensions: g.bearing(implicit(2, []byte("\u212a.example")))}
	if certname.Has(kelvin, certname.DNS, "k.example") {
		t.Error("VULNERABLE: the Kelvin sign is a k")
	}
	broken := &x509.Certificate{Extensions: g.bearing(implicit(6, []byte("https://x/")), asn1.RawValue{Tag: 5})}
	if certname.Has(broken, certname.DNS, "x") || readable(broken) {
		t.Error("names of an extension that can't be read")
	}
	if got, ok := certname.URIs(c); !ok || !slices.Equal(got, []string{"https://x/#"}) {
		t.Errorf("got %q", got)
	}
}

func readable(c *x509.Certificate) bool {
	all, ok := certname.URIs(c)
	return ok || all != nil
}

// A name that can't be read makes those before it unreadable, too: nobody knows what others see there.
func TestNamesBeforeOneThatCantBeRead(t *testing.T) {
	uri := []byte("spiffe://a.example/admin")
	list := append([]byte{0x86, byte(len(uri))}, uri...)
	list = append(list, 0xa1, 0x00) // a mail address that is constructed
	value := append([]byte{0x30, byte(len(list))}, list...)
	c := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidSAN, Value: value}}}
	if certname.Has(c, certname.URI, string(uri)) || readable(c) {
		t.Error("a name counts in what can't be read")
	}
}

var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
