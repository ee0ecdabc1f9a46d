package clientauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// fits tells whether a certificate that is trusted fits a credential.
func fits(t testing.TB, credential clientauth.Credential, cert *popauth.Certificate) bool {
	t.Helper()
	a := newAuth(t, clientauth.Options{
		Clients:     clientauth.Static{"batch": {{Credential: credential}}},
		Certificate: fixed{certificate: cert},
	})
	got := send(a, post(nil, form))
	if got.err != nil && !errors.Is(got.err, clientauth.ErrCertificateMismatch) {
		t.Errorf("got %v", got.err)
	}
	return got.ran
}

// attribute is one of a subject, of any string type.
type attribute struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

var (
	commonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	organization = asn1.ObjectIdentifier{2, 5, 4, 10}
	unit         = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// subject encodes RDNs in the order given.
func subject(t testing.TB, rdns ...[]attribute) []byte {
	t.Helper()
	wrap := func(tag int, b []byte) []byte {
		out, err := asn1.Marshal(asn1.RawValue{Tag: tag, IsCompound: true, Bytes: b})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var sequence []byte
	for _, rdn := range rdns {
		var set []byte
		for _, a := range rdn {
			oid, err := asn1.Marshal(a.oid)
			if err != nil {
				t.Fatal(err)
			}
			value, err := asn1.Marshal(asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)})
			if err != nil {
				t.Fatal(err)
			}
			set = append(set, wrap(asn1.TagSequence, append(oid, value...))...)
		}
		sequence = append(sequence, wrap(asn1.TagSet, set)...)
	}
	return wrap(asn1.TagSequence, sequence)
}

func TestSubjectDN(t *testing.T) {
	ca := popauthtest.NewCA(t)
	utf8, printable := asn1.TagUTF8String, asn1.TagPrintableString
	plain := subject(t, []attribute{{organization, printable, "Example"}}, []attribute{{commonName, utf8, "batch"}})
	comma := subject(t, []attribute{{organization, utf8, `Acme, Inc. #1`}}, []attribute{{commonName, utf8, "#batch"}})
	multi := subject(t, []attribute{{organization, utf8, "Example"}}, []attribute{{commonName, utf8, "batch"}, {unit, utf8, "ops"}})
	for _, tt := range []struct {
		name, written string
		subject       []byte
		want          bool
	}{
		{"equal", "CN=batch,O=Example", plain, true},
		{"spaces after the comma", "CN=batch, O=Example", plain, true},
		{"types in lower case", "cn=batch,o=Example", plain, true},
		{"types as OIDs", "2.5.4.3=batch,2.5.4.10=Example", plain, true},
		{"hex escape", `CN=b\61tch,O=Example`, plain, true},
		{"hex string, of the same type", "CN=#0c056261746368,O=Example", plain, true},
		{"hex string, of another type", "CN=#13056261746368,O=Example", plain, true},
		{"certificate order", "O=Example,CN=batch", plain, false},
		{"values in another case", "CN=Batch,O=Example", plain, false},
		{"fewer", "CN=batch", plain, false},
		{"more", "CN=batch,O=Example,C=DE", plain, false},
		{"another value", "CN=batch2,O=Example", plain, false},
		{"another type", "OU=batch,O=Example", plain, false},
		{"one RDN in place of two", "CN=batch+O=Example", plain, false},
		{"escaped comma", `CN=\#batch,O=Acme\, Inc. #1`, comma, true},
		{"comma in hex", `CN=\23batch,O=Acme\2C Inc. #1`, comma, true},
		{"comma that separates", `CN=\#batch,O=Acme`, comma, false},
		{"multi-valued", "CN=batch+OU=ops,O=Example", multi, true},
		{"multi-valued, other order", "OU=ops+CN=batch,O=Example", multi, true},
		{"multi-valued as two", "OU=ops,CN=batch,O=Example", multi, false},
		{"multi-valued, part", "CN=batch,O=Example", multi, false},
		{"PrintableString", "CN=batch", subject(t, []attribute{{commonName, printable, "batch"}}), true},
		{"IA5String", "CN=batch", subject(t, []attribute{{commonName, asn1.TagIA5String, "batch"}}), true},
		{"BMPString", "CN=a", subject(t, []attribute{{commonName, asn1.TagBMPString, "\x00a"}}), true},
		{"value that looks like attributes", "CN=batch,O=Example", subject(t, []attribute{{commonName, utf8, "batch,O=Example"}}), false},
		{"without subject", "CN=batch", subject(t), false},
		{"unreadable subject", "CN=batch", []byte{0x30, 0x02, 0x31, 0x00}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			credential := must(t)(clientauth.SubjectDN(tt.written))
			cert := by(ca.Client("x"), popauth.VerifiedByTLS)
			own := *cert.Leaf
			own.RawSubject, cert.Leaf = tt.subject, &own
			if got := fits(t, credential, cert); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
	for _, s := range []string{"", "batch", "CN=batch,", "/CN=batch/O=Example", "CN=a;O=b", `CN=a\`, "CN=\xff"} {
		if c, err := clientauth.SubjectDN(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, c)
		}
	}
}

func TestAlternativeNames(t *testing.T) {
	ca := popauthtest.NewCA(t)
	uri := func(s string) *url.URL { return reference(t, s) }
	client := by(ca.Client("batch.example.org", func(c *x509.Certificate) {
		c.DNSNames = []string{"a.example.com", "Batch.Example.com", "*.wild.example.com"}
		c.URIs = []*url.URL{uri("spiffe://example.org/orders"), uri("urn:example:batch")}
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 7), net.ParseIP("2001:db8::7")}
		c.EmailAddresses = []string{"Batch@Example.com"}
	}), popauth.VerifiedByTLS)
	without := by(ca.Client("batch.example.com"), popauth.VerifiedByTLS)
	broken := by(ca.Client("x"), popauth.VerifiedByTLS)
	own := *broken.Leaf
	own.Extensions = append(own.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: []byte{0x30, 0x05}})
	broken.Leaf = &own
	for _, tt := range []struct {
		parse func(string) (clientauth.Credential, error)
		value string
		want  bool
	}{
		{clientauth.SANDNS, "batch.example.com", true},
		{clientauth.SANDNS, "BATCH.EXAMPLE.COM", true},
		{clientauth.SANDNS, "a.example.com", true},
		{clientauth.SANDNS, "x.wild.example.com", false},
		{clientauth.SANDNS, "batch.example.org", false}, // the common name is no DNS name
		{clientauth.SANDNS, "example.com", false},
		{clientauth.SANDNS, "xbatch.example.com", false},
		{clientauth.SANURI, "spiffe://example.org/orders", true},
		{clientauth.SANURI, "urn:example:batch", true},
		{clientauth.SANURI, "spiffe://example.org/Orders", false},
		{clientauth.SANURI, "SPIFFE://example.org/orders", false},
		{clientauth.SANURI, "spiffe://example.org/orders/", false},
		{clientauth.SANURI, "spiffe://example.org/order", false},
		{clientauth.SANIP, "10.0.0.7", true},
		{clientauth.SANIP, "::ffff:10.0.0.7", true},
		{clientauth.SANIP, "2001:db8::7", true},
		{clientauth.SANIP, "2001:0DB8:0:0:0:0:0:7", true},
		{clientauth.SANIP, "10.0.0.8", false},
		{clientauth.SANIP, "2001:db8::8", false},
		{clientauth.SANEmail, "Batch@example.COM", true},
		{clientauth.SANEmail, "batch@example.com", false},
		{clientauth.SANEmail, "Batch@example.org", false},
	} {
		credential := must(t)(tt.parse(tt.value))
		if got := fits(t, credential, client); got != tt.want {
			t.Errorf("%v: got %t, want %t", credential, got, tt.want)
		}
		for name, c := range map[string]*popauth.Certificate{"without": without, "broken": broken} {
			if fits(t, credential, c) {
				t.Errorf("VULNERABLE: %v: accepted for a certificate %s names", credential, name)
			}
		}
	}
}

// The types are told apart: what a certificate has as one kind of name is none of another.
func TestAlternativeNameOfAnotherKind(t *testing.T) {
	ca := popauthtest.NewCA(t)
	client := by(ca.Client("batch.example.com", func(c *x509.Certificate) {
		c.DNSNames = []string{"10.0.0.7"}
		c.URIs = []*url.URL{reference(t, "dns:batch.example.com")}
		c.EmailAddresses = []string{"spiffe://a@example.org"}
	}), popauth.VerifiedByTLS)
	for _, c := range []clientauth.Credential{
		must(t)(clientauth.SANDNS("batch.example.com")),
		must(t)(clientauth.SANIP("10.0.0.7")),
		must(t)(clientauth.SANURI("spiffe://a@example.org")),
		must(t)(clientauth.SANEmail("batch@example.com")),
	} {
		if fits(t, c, client) {
			t.Errorf("VULNERABLE: %v accepted", c)
		}
	}
}

// Only what is a name of the kind in DER is one.
func TestMalformedAlternativeNames(t *testing.T) {
	ca := popauthtest.NewCA(t)
	credential := must(t)(clientauth.SANDNS("a.example"))
	for name, tt := range map[string]struct {
		value asn1.RawValue
		after string
		want  bool
	}{
		"well-formed":    {asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2}, "", true},
		"of parts":       {asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true}, "", false},
		"of class":       {asn1.RawValue{Class: asn1.ClassApplication, Tag: 2}, "", false},
		"trailing bytes": {asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2}, "\x05\x00", false},
	} {
		tt.value.Bytes = []byte("a.example")
		raw, err := asn1.Marshal([]asn1.RawValue{tt.value})
		if err != nil {
			t.Fatal(err)
		}
		client := by(ca.Client("x"), popauth.VerifiedByTLS)
		own := *client.Leaf
		own.Extensions = append(own.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: append(raw, tt.after...)})
		client.Leaf = &own
		if got := fits(t, credential, client); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}

// Two URIs that read alike when parsed are two.
func TestURIsAreComparedAsWritten(t *testing.T) {
	client := by(popauthtest.NewCA(t).Client("x", func(c *x509.Certificate) {
		names, _ := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 6, Bytes: []byte("HTTPS://example.org/a#")}})
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
	}), popauth.VerifiedByTLS)
	if fits(t, must(t)(clientauth.SANURI("https://example.org/a")), client) {
		t.Error("VULNERABLE: accepted")
	}
	if !fits(t, must(t)(clientauth.SANURI("HTTPS://example.org/a#")), client) {
		t.Error("as written: refused")
	}
}

func TestMalformedNames(t *testing.T) {
	for name, parse := range map[string]func(string) (clientauth.Credential, error){
		"dns": clientauth.SANDNS, "uri": clientauth.SANURI, "ip": clientauth.SANIP, "email": clientauth.SANEmail,
	} {
		for _, s := range map[string][]string{
			"dns": {"", ".", "a.", ".a", "a..b", "*.example.com", "bücher.example", "a b", "a/b", strings.Repeat("a", 64) + ".com",
				strings.Repeat("a.", 127) + "a", "\u212a.example"},
			"uri":   {"", "/orders", "example.org", "spiffe://example.org/ö", "spiffe://example.org/a b", "https://a\n", "://x"},
			"ip":    {"", "10.0.0", "10.0.0.0/8", "010.0.0.1", "fe80::1%eth0", "[::1]", "localhost"},
			"email": {"", "batch", "@example.com", "batch@", "batch@ex ample.com", "bätch@example.com", "a b@example.com"},
		}[name] {
			if c, err := parse(s); err == nil {
				t.Errorf("%s %q: got %v, want an error", name, s, c)
			}
		}
	}
}

func TestText(t *testing.T) {
	var credential clientauth.Credential
	for _, s := range []string{
		`subject_dn=CN=batch\, the,O=Example`, "san_dns=Batch.example.com", "san_uri=https://example.org/?a=b",
		"san_ip=2001:DB8::7", "san_email=batch@example.com",
		"thumbprint=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"jwks=" + string(jwkSet(t, popauthtest.SelfSigned(t, "x"))),
	} {
		if err := credential.UnmarshalText([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		if got := credential.String(); got != s {
			t.Errorf("got %s, want %s", got, s)
		}
		raw, err := json.Marshal(clientauth.Registration{Credential: credential})
		if err != nil {
			t.Fatal(err)
		}
		var again clientauth.Registration
		if err := json.Unmarshal(raw, &again); err != nil || again.Credential.String() != s {
			t.Errorf("%s: got %v, %v", raw, again.Credential, err)
		}
	}
	before := credential.String()
	for _, s := range []string{"", "=", "CN=batch", "subject_dn", "subject_dn=", "SAN_DNS=a", "san_dns=*", "thumbprint=", "jwks={}"} {
		if err := credential.UnmarshalText([]byte(s)); err == nil || credential.String() != before {
			t.Errorf("%q: got %v, %v, want an error and no change", s, credential, err)
		}
	}
	var zero clientauth.Credential
	if text, err := zero.MarshalText(); err == nil || zero.String() != "" || zero.Method() != "" {
		t.Errorf("zero: got %q, %v", text, err)
	}
}
