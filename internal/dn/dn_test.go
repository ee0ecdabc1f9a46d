package dn_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/dn"
)

type av struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

var cn, org, ou, country = asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}, asn1.ObjectIdentifier{2, 5, 4, 6}

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
			set = append(set, wrap(asn1.TagSequence, append(marshal(a.oid), marshal(asn1.RawValue{Tag: a.tag, Bytes: []byte(a.value)})...))...)
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
		"", " ", "CN", "CN=", "=a", "CN=a,", "CN=a+", ",CN=a", "CN=a,,O=b", "CN=a;O=b", `CN="a"`, `CN=a\`, `CN=a\g0`,
		`CN=a\4`, "CN= a", "CN=a ", "CN=a ,O=b", "CN=a\x00", "CN=\xff", `CN=\FF`, "XX=a", "2=a", "2..5=a", "2.05=a",
		"CN=#", "CN=#1", "CN=#13", "CN=#1302444500", "CN=#zz", "/CN=a/O=b", "CN =a",
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

// What crypto/x509/pkix writes in RFC 4514's form is read as the name that it was written from.
func FuzzName(f *testing.F) {
	f.Add("batch", "Example", "CN=batch,O=Example")
	f.Add(`a,b+c"\<>;`, " #x ", `CN=a\,b`)
	f.Fuzz(func(t *testing.T, commonName, organization, written string) {
		if n, err := dn.Parse(written); err == nil && !n.Equal(n) {
			t.Errorf("%q does not equal itself", written)
		}
		if n, err := dn.ParseDER([]byte(written)); err == nil && !n.Equal(n) {
			t.Errorf("%x does not equal itself", written)
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
