package certname_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// constraints is an extension of these bytes.
func constraints(value []byte) []pkix.Extension {
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Value: value}}
}

// What can't be understood refuses, wherever it stands; whether the name would be in the subtree or not.
func TestConstraintsThatCantBeUnderstood(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	subject := g.marshal([]asn1.RawValue{g.rdn(pair{oidO, utf8Value("Partner")})})
	leaf := func(san ...asn1.RawValue) *x509.Certificate {
		c := &x509.Certificate{RawSubject: subject, RawIssuer: []byte{1}}
		if len(san) > 0 {
			c.Extensions = g.bearing(san...)
		}
		return c
	}
	good := g.limited(excluded, implicit(2, []byte("other.example"))).Value
	dns, mail, uri, ip := implicit(2, []byte("a.example")), implicit(1, []byte("a@a.example")), implicit(6, []byte("https://a.example/")),
		implicit(7, []byte{10, 0, 0, 1})
	odd := func(base asn1.RawValue) []byte { return g.limited(excluded, base).Value }
	inner := func(more ...byte) []byte { // behind the lists, within the SEQUENCE
		var outer asn1.RawValue
		if _, err := asn1.Unmarshal(good, &outer); err != nil {
			t.Fatal(err)
		}
		return g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: slices.Concat(outer.Bytes, more)})
	}
	for name, tt := range map[string]struct {
		value []byte
		leaf  *x509.Certificate
		says  string // "" if it passes
	}{
		"as it should be":        {good, leaf(dns), ""},
		"bytes behind":           {append(slices.Clone(good), 5, 0), leaf(dns), "can't be read"},
		"bytes behind the lists": {inner(5, 0), leaf(dns), "can't be read"},
		"a third list":           {inner(0xa2, 0), leaf(dns), "can't be read"},
		"a subtree of another tag": {g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true,
			Bytes: g.marshal(explicit(excluded, []byte{5, 0}))}), leaf(dns), "can't be read"},
		"a name of another class": {g.marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true,
			Bytes: g.marshal(explicit(excluded, []byte{0x30, 2, 5, 0}))}),
			leaf(dns), "can't be read"},
		"DNS that is no domain":          {odd(implicit(2, []byte("a b"))), leaf(dns), "can't be compared"},
		"DNS with two dots":              {odd(implicit(2, []byte("..example"))), leaf(dns), "can't be compared"},
		"DNS that is a wildcard":         {odd(implicit(2, []byte("*.example"))), leaf(dns), "can't be compared"},
		"DNS with a dot at the end":      {odd(implicit(2, []byte("example."))), leaf(dns), "can't be compared"},
		"DNS of any length":              {odd(implicit(2, []byte(strings.Repeat("a.", 200)+"example"))), leaf(dns), "can't be compared"},
		"DNS odd, nobody has one":        {odd(implicit(2, []byte("a b"))), leaf(ip), ""},
		"URI that is no domain":          {odd(implicit(6, []byte("https://a.example/"))), leaf(uri), "can't be compared"},
		"URI, no domain, nobody has one": {odd(implicit(6, []byte("https://a.example/"))), leaf(dns), ""},
		"mail at no domain":              {odd(implicit(1, []byte("a@b c"))), leaf(mail), "can't be compared"},
		"mail without a host":            {odd(implicit(1, []byte("a b"))), leaf(mail), "can't be compared"},
		"mail with NUL in the name": {g.limited(excluded, implicit(1, []byte("x@other.example"))).Value,
			leaf(implicit(1, []byte("a\x00@a.example"))), "can't be compared"},
		"mail with NUL in a constraint": {odd(implicit(1, []byte("a\x00@a.example"))), leaf(implicit(1, []byte("b@a.example"))), ""},
		"IP of five bytes":              {odd(implicit(7, make([]byte, 5))), leaf(ip), "can't be compared"},
		"IP without a mask":             {odd(implicit(7, []byte{10, 0, 0, 0})), leaf(ip), "can't be compared"},
		"4-in-6": {odd(implicit(7, []byte{10, 0, 0, 0, 255, 0, 0, 0})),
			leaf(implicit(7, append(append(make([]byte, 10), 255, 255), 10, 1, 2, 3))), "can't be compared"},
		"a directory name that is none": {odd(explicit(4, []byte{5, 0})), leaf(), "can't be compared"},
		"one with bytes behind":         {odd(explicit(4, append(g.marshal([]asn1.RawValue{}), 5, 0))), leaf(), "can't be compared"},
		"an empty RDN":                  {odd(explicit(4, []byte{0x30, 2, 0x31, 0})), leaf(), "can't be compared"},
		"an attribute with a third part": {odd(explicit(4,
			g.marshal([]asn1.RawValue{{Tag: asn1.TagSet, IsCompound: true, Bytes: g.marshal([]any{oidO, "x", "y"})}}))), leaf(),
			"can't be compared"},
		"a directory name that is no text": {odd(explicit(4,
			g.marshal([]asn1.RawValue{g.rdn(pair{oidO, asn1.RawValue{Tag: utf8String, Bytes: []byte{0xff}}})}))), leaf(),
			"can't be compared"},
		"the empty directory name": {odd(explicit(4, g.marshal([]asn1.RawValue{}))), leaf(), "excluded"},
		"constructed DNS":          {g.limited(excluded, explicit(2, []byte("a.example"))).Value, leaf(dns), "can't be read"},
		"primitive directory name": {g.limited(excluded, implicit(4, subject)).Value, leaf(dns), "can't be read"},
	} {
		err := certname.Check([]*x509.Certificate{tt.leaf, {RawSubject: subject, Extensions: constraints(tt.value)}})
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}

// The text of a name is one to policies, which read a NumericString, and to constraints.
func TestStringTypes(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	const numeric, visible, universal = 18, 26, 28
	org := func(tag int, s string) []byte {
		return g.marshal([]asn1.RawValue{g.rdn(pair{oidO, asn1.RawValue{Tag: tag, Bytes: []byte(s)}})})
	}
	for _, tt := range []struct {
		kind       int
		base, have []byte
		says       string
	}{
		{permitted, org(utf8String, "12"), org(numeric, "12"), "can't be compared"},
		{excluded, org(utf8String, "12"), org(numeric, "12"), "can't be compared"},
		{excluded, org(numeric, "12"), org(printableString, "12"), "can't be compared"},
		{permitted, org(numeric, "12"), org(numeric, "12"), ""},
		{excluded, org(numeric, "12"), org(numeric, "12"), "excluded"},
		{excluded, org(numeric, "1 2"), org(numeric, "1  2"), "can't be compared"},
		{excluded, org(utf8String, "13"), org(numeric, "12"), ""},
		{permitted, org(utf8String, "13"), org(numeric, "12"), "not permitted"},
		{excluded, org(utf8String, "\u00fc"), org(t61String, "\xfc"), "excluded"},
		{excluded, org(utf8String, "p"), org(visible, "P"), "excluded"},
		{excluded, org(utf8String, "p"), org(universal, "\x00\x00\x00P"), "excluded"},
		{excluded, org(utf8String, "p"), org(universal, "\x00\x11\x00\x00"), "subject"},
		{excluded, org(utf8String, "p"), org(ia5String, "\xfc"), "subject"},
		{excluded, org(utf8String, "\u00c4"), org(utf8String, "\u00e4"), ""}, // beyond ASCII case matters, as to OpenSSL
		{permitted, org(utf8String, "a\tb"), org(utf8String, "a b"), ""},
	} {
		leaf := &x509.Certificate{RawSubject: tt.have, RawIssuer: []byte{1}}
		ca := &x509.Certificate{Extensions: []pkix.Extension{g.limited(tt.kind, explicit(4, tt.base))},
			RawSubject: g.marshal([]asn1.RawValue{})}
		err := certname.Check([]*x509.Certificate{leaf, ca})
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%x within %x: got %v, want %q", tt.have, tt.base, err, tt.says)
		}
	}
}

// Common names that read like hosts are those of leaves; mail addresses are everybody's.
func TestNamesOfSubjects(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	named := func(pairs ...pair) []byte {
		var rdns []asn1.RawValue
		for _, p := range pairs {
			rdns = append(rdns, g.rdn(p))
		}
		return g.marshal(rdns)
	}
	cn := func(tag int, s string) pair { return pair{oidCN, asn1.RawValue{Tag: tag, Bytes: []byte(s)}} }
	email := func(s string) pair { return pair{oidEmail, asn1.RawValue{Tag: ia5String, Bytes: []byte(s)}} }
	root := func(base asn1.RawValue) *x509.Certificate {
		return &x509.Certificate{RawSubject: named(cn(utf8String, "root")), Extensions: []pkix.Extension{g.limited(permitted, base)}}
	}
	dns, mail := implicit(2, []byte("partner.example")), implicit(1, []byte("partner.example"))
	plain := &x509.Certificate{RawSubject: named(cn(utf8String, "x")), RawIssuer: []byte{1}}
	for name, tt := range map[string]struct {
		chain []*x509.Certificate
		says  string
	}{
		"an authority's common name": {[]*x509.Certificate{plain,
			{RawSubject: named(cn(utf8String, "ca.example.com")), RawIssuer: []byte{1}}, root(dns)}, ""},
		"a leaf's": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "ca.example.com")), RawIssuer: []byte{1}}, root(dns)},
			"common name"},
		"an authority's mail address": {[]*x509.Certificate{plain, {RawSubject: named(email("boss@example.com")), RawIssuer: []byte{1}},
			root(mail)},
			"mail address in the subject"},
		"a NumericString":       {[]*x509.Certificate{{RawSubject: named(cn(18, "1234")), RawIssuer: []byte{1}}, root(dns)}, ""},
		"a NumericString, dots": {[]*x509.Certificate{{RawSubject: named(cn(18, "1.2")), RawIssuer: []byte{1}}, root(dns)}, "common name"},
		"no string": {[]*x509.Certificate{{RawSubject: named(pair{oidCN,
			asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte("x")}}), RawIssuer: []byte{1}}, root(dns)}, "common name"},
		"a wildcard": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "*.example.com")), RawIssuer: []byte{1}}, root(dns)},
			"common name"},
		"a dot at the end": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "a.partner.example.")), RawIssuer: []byte{1}},
			root(dns)}, "can't be compared"},
		"one label": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "localhost")), RawIssuer: []byte{1}}, root(dns)}, ""},
		"two, the second foreign": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "a.partner.example"),
			cn(utf8String, "a.example.com")), RawIssuer: []byte{1}}, root(dns)},
			"common name"},
		"a common name with NUL": {[]*x509.Certificate{{RawSubject: named(cn(utf8String, "a.partner.example\x00.x")),
			RawIssuer: []byte{1}}, root(dns)}, "common name"},
	} {
		err := certname.Check(tt.chain)
		if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
}

// Names and networks as RFC 5280, section 4.2.1.10, compares them.
func TestSubtrees(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	for _, tt := range []struct {
		tag        int
		base, name string
		in         bool
	}{
		{2, "", "a.example", true},
		{2, "a.example", "a.example", true},
		{2, "a.example", "b.a.example", true},
		{2, ".a.example", "b.a.example", true},
		{2, ".a.example", "a.example", false},
		{2, "a.example", "ba.example", false},
		{2, "b.a.example", "a.example", false},
		{6, "a.example", "https://a.example:1/x", true},
		{6, "a.example", "https://a.example", true},
		{6, ".a.example", "https://a.example/", false},
		{6, ".a.example", "https://b.a.example/", true},
		{6, "", "https://a.example/", false},
		{1, "x@a.example", "x@A.example", true},
		{1, "x@a.example", "y@a.example", false},
		{1, "a.example", "x@a.example", true},
		{1, ".a.example", "x@a.example", false},
		{1, "", "x@a.example", false},
		{7, "\x0a\x00\x00\x00\xff\x00\x00\x00", "\x0a\x01\x02\x03", true},
		{7, "\x0a\x00\x00\x00\xff\x00\x00\x00", "\x0b\x01\x02\x03", false},
		{7, "\x0a\x00\x00\x00\x00\x00\x00\x00", "\x0b\x01\x02\x03", true},
		{7, "\x0a\x00\x00\x01\xff\xff\xff\xff", "\x0a\x00\x00\x02", false},
	} {
		leaf := &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}), RawIssuer: []byte{1},
			Extensions: g.bearing(implicit(tt.tag, []byte(tt.name)))}
		ca := &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}),
			Extensions: []pkix.Extension{g.limited(permitted, implicit(tt.tag, []byte(tt.base)))}}
		if err := certname.Check([]*x509.Certificate{leaf, ca}); (err == nil) != tt.in {
			t.Errorf("%q within %q: got %v, want in %t", tt.name, tt.base, err, tt.in)
		}
		ca.Extensions = []pkix.Extension{g.limited(excluded, implicit(tt.tag, []byte(tt.base)))}
		if err := certname.Check([]*x509.Certificate{leaf, ca}); (err != nil) != tt.in {
			t.Errorf("%q excluded by %q: got %v, want in %t", tt.name, tt.base, err, tt.in)
		}
	}
	for _, uri := range []string{
		"urn:a", "a.example", "://a.example", "https:a.example", "https://", "https:///x", "https://u@a.example/", "https://a.example:8x/",
		"https://a.example?x", "https://a.example#x", "https://a.example:1:2/", "https://[::1]/", "https://a..example/",
		"https://a.example/x:y",
	} {
		leaf := &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}), RawIssuer: []byte{1},
			Extensions: g.bearing(implicit(6, []byte(uri)))}
		ca := &x509.Certificate{RawSubject: g.marshal([]asn1.RawValue{}),
			Extensions: []pkix.Extension{g.limited(excluded, implicit(6, []byte("other.example")))}}
		if err := certname.Check([]*x509.Certificate{leaf, ca}); err == nil || !strings.Contains(err.Error(), "can't be compared") {
			t.Errorf("%s: got %v, want it refused", uri, err)
		}
	}
}

// What a search is given stays as it is: others may use it at the same time.
func TestVerifyChangesNothing(t *testing.T) {
	g := newGenerator(t, mathrand.New(mathrand.NewPCG(1, 1)))
	name := func(s string) []byte { return g.marshal([]asn1.RawValue{g.rdn(pair{oidO, utf8Value(s)})}) }
	root, err := g.issue(name("Root"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	limit := g.limited(permitted, explicit(4, name("Partner")))
	limit.Critical = true
	between, err := g.issue(name("Between"), []pkix.Extension{limit}, root)
	if err != nil {
		t.Fatal(err)
	}
	other := asn1.ObjectIdentifier{1, 2, 3}
	between.UnhandledCriticalExtensions = append(between.UnhandledCriticalExtensions[:1:1], other)
	leaf, err := g.issue(name("Partner"), nil, between)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := certname.Verify(leaf, []*x509.Certificate{between}, x509.VerifyOptions{Roots: pool}); err == nil {
		t.Error("an unknown critical extension beside name constraints passes")
	}
	if got := between.UnhandledCriticalExtensions; len(got) != 2 || !got[0].Equal(limit.Id) || !got[1].Equal(other) {
		t.Errorf("got %v, want them as they were", got)
	}
	between.UnhandledCriticalExtensions = between.UnhandledCriticalExtensions[:1]
	chains, err := certname.Verify(leaf, []*x509.Certificate{between},
		x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(chains) != 1 || len(between.UnhandledCriticalExtensions) != 1 {
		t.Errorf("got %v, %v", chains, err)
	}
}
