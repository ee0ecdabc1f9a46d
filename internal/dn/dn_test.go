package dn_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
	"unicode"

	"github.com/seed-171ab058/popauth/internal/dn"
)

type av struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

var cn, org, ou, country = asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4,
	11}, asn1.ObjectIdentifier{2, 5, 4, 6}

// der encodes RDNs in the order given, whatever string types are asked for.
func der(t testing.TB, rdns ...[]av) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wrap := func(tag int, b []byte) []byte {
		return marshal(asn1.RawValue{Tag: tag, IsCompound: true, Bytes: b})
	}
	var sequence []byte
	for _, rdn := range rdns {
		var set []byte
		for _, a := range rdn {
			set = append(set, wrap(asn1.TagSequence,
				append(marshal(a.oid), marshal(asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)})...))...)
		}
		sequence = append(sequence, wrap(asn1.TagSet, set)...)
	}
	return wrap(asn1.TagSequence, sequence)
}

func TestEqual(t *testing.T) {
	utf, printable := asn1.TagUTF8String, asn1.TagPrintableString
	plain := der(t, []av{{country, printable, "DE"}}, []av{{org, utf, "Example"}}, []av{{cn, utf, "batch"}})
	multi := der(t, []av{{org, utf, "Example"}}, []av{{cn, utf, "batch"}, {ou, utf, "ops"}})
	tricky := der(t, []av{{cn, utf, `Acme, Inc. "x"; y=1+2 #\<>`}})
	for _, tt := range []struct {
		written string
		der     []byte
		want    bool
	}{
		{"CN=batch,O=Example,C=DE", plain, true},
		{"cn=batch, o=Example, c=DE", plain, true},
		{"2.5.4.3=batch,2.5.4.10=Example,2.5.4.6=DE", plain, true},
		{`CN=b\61tch,O=Example,C=DE`, plain, true},
		{"CN=batch,O=Example,C=#13024445", plain, true},
		{"C=DE,O=Example,CN=batch", plain, false},
		{"CN=Batch,O=Example,C=DE", plain, false},
		{"CN=batch,O=Example", plain, false},
		{"CN=batch", plain, false},
		{"CN=batch,O=Example,C=DE,DC=x", plain, false},
		{"CN=batch+O=Example,C=DE", plain, false},
		{"OU=batch,O=Example,C=DE", plain, false},
		{"CN=batch+OU=ops,O=Example", multi, true},
		{"OU=ops+CN=batch,O=Example", multi, true},
		{"CN=batch,OU=ops,O=Example", multi, false},
		{"OU=ops,CN=batch,O=Example", multi, false},
		{"CN=batch,O=Example", multi, false},
		{`CN=Acme\, Inc. \"x\"\; y\=1\+2 \#\\\<\>`, tricky, true},
		{`CN=Acme\2C Inc. \22x\22\3B y=1\2B2 #\5C\3C\3E`, tricky, true},
		{`CN=Acme`, tricky, false},
		// What one name has in a value, another has as attributes.
		{"CN=batch,O=Example", der(t, []av{{cn, utf, "batch,O=Example"}}), false},
		{"CN=batch+OU=ops", der(t, []av{{cn, utf, "batch+OU=ops"}}), false},
		{`CN=ü`, der(t, []av{{cn, utf, "ü"}}), true},
		{`CN=\C3\BC`, der(t, []av{{cn, utf, "ü"}}), true},
		{`CN=ü`, der(t, []av{{cn, asn1.TagBMPString, "\x00\xfc"}}), true},
		{`CN=ü`, der(t, []av{{cn, asn1.TagT61String, "\xfc"}}), true},
		{`CN=#140161`, der(t, []av{{cn, asn1.TagT61String, "a"}}), true},
		{`CN=1`, der(t, []av{{cn, asn1.TagNumericString, "1"}}), true},
		{`CN=ü`, der(t, []av{{cn, 28, "\x00\x00\x00\xfc"}}), true},
		{`CN=a`, der(t, []av{{cn, 26, "a"}}), true},
		{`CN=ü`, der(t, []av{{cn, asn1.TagIA5String, "\xfc"}}), false},
		{`CN=a`, der(t, []av{{cn, utf, "a\x00"}}), false},
		{`CN=a\00`, der(t, []av{{cn, utf, "a\x00"}}), true},
		{`CN=a`, der(t, []av{{cn, utf, "a "}}), false},
		{`CN=\ a\ `, der(t, []av{{cn, utf, " a "}}), true},
		{`CN=a`, der(t), false},
		{`CN=\EF\BF\BD`, der(t, []av{{cn, utf, "\xff"}}), false},
		{`CN=\EF\BF\BD`, der(t, []av{{cn, asn1.TagBMPString, "\xd8\x00"}}), false},
		{`CN=a`, der(t, []av{{cn, asn1.TagBMPString, "\x00a\x00"}}), false},
		{`CN=\14\01a`, der(t, []av{{cn, asn1.TagT61String, "a"}}), false},
	} {
		want, err := dn.Parse(tt.written)
		if err != nil {
			t.Errorf("%s: %v", tt.written, err)
			continue
		}
		have, err := dn.ParseDER(tt.der)
		if err != nil {
			t.Errorf("%x: %v", tt.der, err)
			continue
		}
		if got := want.Equal(have); got != tt.want || have.Equal(want) != got {
			t.Errorf("%s against %x: got %t, want %t", tt.written, tt.der, got, tt.want)
		}
	}
}

func TestMalformed(t *testing.T) {
	for _, s := range []string{
		"", " ", "CN", "CN=", "=a", "CN=a,", "CN=a+", ",CN=a", "CN=a,,O=b", "CN=a;O=b", `CN=a\`, `CN=a\g0`,
		`CN=a\4`, "CN= a", "CN=a ", "CN=a ,O=b", "CN=a\x00", "CN=\xff", `CN=\FF`, "XX=a", "2=a", "2..5=a", "2.05=a",
		`CN="a`, `CN="a"b`, `CN="a"bO=c`, `CN="a" ,O=b`, `CN="a"+`, `CN=""`, `CN="a\,b"`, `CN="a\41"`,
		`CN="a""b\\"`, "CN=\"a\x00\"", `CN="a\"`, `CN=a"b"`,
		"CN=a +O=b", "CN=a  + O=b", "CN=a + ", "OID.=a", "OID.CN=a", "OID.2=a", "OID.OID.2.5=a", "CN=#130161 ,O=b", "CN=a, + O=b",
		"CN=#1", "CN=#13", "CN=#1302444500", "CN=#zz", "/CN=a/O=b", "CN =a",
	} {
		if n, err := dn.Parse(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, n)
		}
	}
	for _, s := range []string{"", "CN", "CN=a,O"} {
		if _, err := dn.Parse(s); err == nil || err.Error() != "an attribute without =" {
			t.Errorf("%q: got %v, want that there is no =", s, err)
		}
	}
	for _, s := range []string{"", "00", "3000ff", "30023100", "300431023000"} {
		b, _ := hex.DecodeString(s)
		if n, err := dn.ParseDER(b); err == nil {
			t.Errorf("%s: got %v, want an error", s, n)
		}
	}
}

// Names as tools print them that are not installed everywhere.
func TestSpellings(t *testing.T) {
	for _, tt := range []struct {
		name, printed, want string
	}{
		{"Java", `CN=batch, OU="#hash" + UID=u1, O="Example, Inc.", OID.2.5.4.97=PSDDE-1`,
			`CN=batch,OU=\#hash+UID=u1,O=Example\, Inc.,organizationIdentifier=PSDDE-1`},
		{"Java, quotation mark", `CN="a \"b\" \\"`, `CN=a \"b\" \\`},
		{"Java, types", `DNQ=1, GENERATION=2, T=3, INITIALS=4, GIVENNAME=5, SURNAME=6, EMAILADDRESS=7, SERIALNUMBER=8`,
			`2.5.4.46=1,2.5.4.44=2,2.5.4.12=3,2.5.4.43=4,2.5.4.42=5,2.5.4.4=6,1.2.840.113549.1.9.1=7,2.5.4.5=8`},
		{"OpenSSL, extended validation", `jurisdictionC=BR,businessCategory=Private Organization,UID=x,serialNumber=1`,
			`1.3.6.1.4.1.311.60.2.1.3=BR,2.5.4.15=Private Organization,0.9.2342.19200300.100.1.1=x,2.5.4.5=1`},
		// Microsoft's article 216831, "Read and analyze a client certificate"
		{"Windows", `CN=Name (Signing), OU=IASG, O=Microsoft, L=Redmond, S=WA, C=US, E=name@domain.com`,
			`CN=Name (Signing),OU=IASG,O=Microsoft,L=Redmond,ST=WA,C=US,emailAddress=name@domain.com`},
		// by the remarks on CertNameToStr: OIDs, key names, and quotation marks doubled
		{"Windows, quotation mark", `CN="Example ""x"", Inc.", OID.2.5.4.97=1, G=2, I=3, SN=4, T=5`,
			`CN=Example \"x\"\, Inc.,2.5.4.97=1,2.5.4.42=2,2.5.4.43=3,2.5.4.4=4,2.5.4.12=5`},
		{"Windows, only quotation marks", `CN=""""`, `CN=\"`},
		{"OpenSSL, number sign", `CN=#+OU=#,O=#`, `CN=\#+OU=\#,O=\#`},
		{"DER between spaces", `CN=#130161 + OU=x`, `CN=a+OU=x`},
		{"a space before the separator that is escaped", `CN=a\  + OU=x`, `CN=a\ +OU=x`},
	} {
		printed, err := dn.Parse(tt.printed)
		if err != nil {
			t.Errorf("%s: %s: %v", tt.name, tt.printed, err)
			continue
		}
		want, err := dn.Parse(tt.want)
		if err != nil {
			t.Fatal(err)
		}
		if !printed.Equal(want) {
			t.Errorf("%s: %s: got %v, want %v", tt.name, tt.printed, printed, want)
		}
	}
}

// The error says what to write.
func TestExplained(t *testing.T) {
	for _, tt := range []struct{ written, want string }{
		{"/C=DE/O=Example/CN=batch", "write CN=batch,O=Example,C=DE if"},
		{"/C=DE/O=a/b/CN=batch", "-nameopt RFC2253"},
		{`/C=DE/O=K\xC3\xB6ln`, "-nameopt RFC2253"},
		{`C = DE, O = "Example, Inc.", CN = batch + OU = ops`, `write OU=ops+CN=batch,O=Example\, Inc.,C=DE if`},
		{"subject=C = DE, CN = batch", "else CN=batch,C=DE"},
		{"subject=CN=batch,C=DE", "write CN=batch,C=DE if the last RDN comes first"},
		{"Owner: CN=batch, C=DE", "write CN=batch,C=DE if"},
		{"subject=CN", "without it: an attribute without ="},
		{"subject=/CN=batch", "without it: unknown attribute type"},
		{"XX=a", "write its OID, such as"},
		{"CN=a;O=b", "';' has to be escaped"},
	} {
		if n, err := dn.Parse(tt.written); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", tt.written, n, err, tt.want)
		}
	}
	for _, s := range []string{"/C=DE/O=a/b/CN=batch", `/C=DE/O=K\xC3\xB6ln`, "/C=DE/OU=a+UID=b"} {
		if _, err := dn.Parse(s); err == nil || strings.Contains(err.Error(), ", or write") {
			t.Errorf("%s: got %v, want nothing to write: it has two readings", s, err)
		}
	}
	// and stays short
	for _, s := range []string{
		strings.Repeat("subject=", 1000), "/" + strings.Repeat("CN=a/", 1500), strings.Repeat("CN = a,", 1100),
		strings.Repeat("X", 8000) + "=a", "CN = " + strings.Repeat("x", 8000),
	} {
		if _, err := dn.Parse(s); err == nil || len(err.Error()) > 300 {
			t.Errorf("%.20s…: got %v, want a short error", s, err)
		}
	}
}

// String is what Parse reads as the same name, and one line; Another says so if the order is the other one.
func TestString(t *testing.T) {
	n, err := dn.ParseDER(der(t, []av{{country, asn1.TagPrintableString, "DE"}},
		[]av{{org, asn1.TagUTF8String, " a,b+c\"\\<>;=#\n\u202e\x00ü "}},
		[]av{{cn, asn1.TagUTF8String, "#x"}, {asn1.ObjectIdentifier{1, 2, 3}, asn1.TagBitString, "\x00a"}}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := n.String(), `1.2.3=#03020061+CN=\#x,O=\ a\,b\+c\"\\\<\>\;=#\0a\e2\80\ae\00ü\ ,C=DE`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wanted, err := dn.Parse("C=DE,O=Example,CN=batch")
	if err != nil {
		t.Fatal(err)
	}
	for written, want := range map[string]string{
		"CN=batch,O=Example,C=DE": "CN=batch,O=Example,C=DE, whose RDNs are wanted in the opposite order",
		"CN=other,O=Example,C=DE": "CN=other,O=Example,C=DE",
	} {
		have, err := dn.Parse(written)
		if err != nil {
			t.Fatal(err)
		}
		if got := dn.Another([]dn.Name{wanted}, have); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What crypto/x509/pkix writes in RFC 4514's form is read as the name that it was written from.
func FuzzName(f *testing.F) {
	f.Add("batch", "Example", "CN=batch,O=Example")
	f.Add(`a,b+c"\<>;`, " #x ", `CN=a\,b`)
	f.Add("/C=DE/CN=a", "C = DE, CN = a", `OID.2.5.4.3="a ""b""" + OU=x`)
	f.Add("subject=CN=a", "Owner: CN=a", `CN="a\"" + OU=#130161 + O=x`)
	f.Fuzz(func(t *testing.T, commonName, organization, written string) {
		if n, err := dn.Parse(written); err == nil {
			reread(t, n)
		}
		if n, err := dn.ParseDER([]byte(written)); err == nil {
			reread(t, n)
		}
		name := pkix.Name{CommonName: commonName, Organization: []string{organization}}
		// The other writer doesn't escape NUL, and knows no limit.
		if commonName == "" || organization == "" || strings.ContainsRune(commonName+organization, 0) || len(name.String()) > 8<<10 {
			return
		}
		raw, err := asn1.Marshal(name.ToRDNSequence())
		if err != nil {
			return
		}
		have, err := dn.ParseDER(raw)
		if err != nil {
			t.Fatalf("%x: %v", raw, err)
		}
		want, err := dn.Parse(name.String())
		if err != nil {
			t.Fatalf("%q: %v", name.String(), err)
		}
		if !want.Equal(have) {
			t.Errorf("%q does not equal %x", name.String(), raw)
		}
	})
}

// reread reads what String writes: the same name, unless it is longer than what Parse reads, or of an empty value, which it doesn't.
func reread(t *testing.T, n dn.Name) {
	text := n.String()
	if again, err := dn.Parse(text); err == nil && !again.Equal(n) || err != nil && len(text) <= 8<<10 && !hasEmpty(text) {
		t.Errorf("%q is read as %v, %v", text, again, err)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%q has a control character", text)
	}
}

func hasEmpty(text string) bool {
	return text == "" || strings.HasSuffix(text, "=") || strings.Contains(text, "=,") || strings.Contains(text, "=+")
}

// Whoever compares a name reads all of it, and a sender chooses how long it is: 64 attributes are the most, in either form.
func TestTooManyAttributes(t *testing.T) {
	written := func(n int, separator string) string {
		return strings.TrimSuffix(strings.Repeat("OU=x"+separator, n), separator)
	}
	raw := func(rdns, attributes int, value string) []byte {
		var sequence pkix.RDNSequence
		for range rdns {
			var set pkix.RelativeDistinguishedNameSET
			for range attributes {
				set = append(set, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: value})
			}
			sequence = append(sequence, set)
		}
		b, err := asn1.Marshal(sequence)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, tt := range map[string]struct {
		err  error
		good bool
	}{
		"64 written":         {second(dn.Parse(written(64, ","))), true},
		"65 written":         {second(dn.Parse(written(65, ","))), false},
		"65 written, in one": {second(dn.Parse(written(65, "+"))), false},
		"64":                 {second(dn.ParseDER(raw(64, 1, "x"))), true},
		"65":                 {second(dn.ParseDER(raw(65, 1, "x"))), false},
		"64 in one":          {second(dn.ParseDER(raw(1, 64, "x"))), true},
		"65 in one":          {second(dn.ParseDER(raw(1, 65, "x"))), false},
		"8000 bytes":         {second(dn.ParseDER(raw(1, 1, strings.Repeat("x", 8000)))), true},
		"8200 bytes":         {second(dn.ParseDER(raw(1, 1, strings.Repeat("x", 8200)))), false},
	} {
		if (tt.err == nil) != tt.good {
			t.Errorf("%s: got %v", name, tt.err)
		}
	}
}

func second(_ dn.Name, err error) error { return err }
