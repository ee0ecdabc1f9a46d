package lab

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ByTLS is a client's request over a connection whose chain the TLS stack has verified.
func ByTLS(c *popauthtest.Client, token string, root *popauthtest.CA) *http.Request {
	r := c.Request("GET", "/", token)
	r.TLS.VerifiedChains = [][]*x509.Certificate{append(append([]*x509.Certificate(nil), r.TLS.PeerCertificates...), root.Certificate)}
	return r
}

func Verified(tb testing.TB, v clientcert.Verification) popauth.CertificateSource {
	tb.Helper()
	s, err := clientcert.Verified(popauth.TLSCertificate(), v)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Permits is an authority that is permitted to name the organization Partner only.
func Permits(t *testing.T, critical bool) func(*x509.Certificate) {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nested := func(class, tag int, content []byte) []byte {
		return marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: content})
	}
	name := marshal(pkix.Name{Organization: []string{"Partner"}}.ToRDNSequence())
	subtree := nested(asn1.ClassUniversal, asn1.TagSequence, nested(asn1.ClassContextSpecific, 4, name))
	value := nested(asn1.ClassUniversal, asn1.TagSequence, nested(asn1.ClassContextSpecific, 0, subtree))
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: critical, Value: value})
	}
}

func Base64Of(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
