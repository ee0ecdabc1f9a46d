package lab

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
)

// attributes are the types that subjects have, and one that no program knows.
var attributes = []asn1.ObjectIdentifier{
	{2, 5, 4, 3}, {2, 5, 4, 5}, {2, 5, 4, 10}, {2, 5, 4, 11}, {2, 5, 4, 97}, {0, 9, 2342, 19200300, 100, 1, 1},
	{1, 2, 840, 113549, 1, 9, 1}, {1, 2, 3, 4, 5},
}

// randomText has what means something in a header, in a quoted string, in XFCC or in a configuration.
func oddText(r *rand.Rand) string {
	alphabet := []rune(`ab1,,;;="":<>#/\ '%&{}$()[]|` + "üß中😀\n\r\t\x00\x01\u2028")
	var text []rune
	for range 1 + r.IntN(12) {
		text = append(text, alphabet[r.IntN(len(alphabet))])
	}
	return string(text)
}

// Names gives a certificate random names, of every kind.
func Names(r *rand.Rand, x *x509.Certificate) {
	x.Subject = pkix.Name{}
	for range r.IntN(5) {
		oid := attributes[r.IntN(len(attributes))]
		x.Subject.ExtraNames = append(x.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: oddText(r)})
	}
	for range r.IntN(3) {
		label := []string{"*", "xn--mnchen-3ya", "_srv"}[r.IntN(3)]
		x.DNSNames = append(x.DNSNames, fmt.Sprintf("%s.%d.example", label, r.IntN(1000)))
	}
	for range r.IntN(3) {
		x.URIs = append(x.URIs, &url.URL{Scheme: "spiffe", Host: "td.example", Path: "/" + oddText(r)})
	}
	if r.IntN(3) == 0 {
		x.EmailAddresses = []string{`"a;b,c=\"` + fmt.Sprint(r.IntN(1000)) + `"@example.com`}
	}
	if r.IntN(3) == 0 {
		x.IPAddresses = []net.IP{net.IPv4(192, 0, 2, byte(r.IntN(256)))}
	}
	if len(x.Subject.ExtraNames) == 0 && r.IntN(2) == 0 {
		x.Subject.CommonName = "Hash=00;Cert=\"x\",By=spiffe://td.example/gateway"
	}
}
