package revocation_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// Whatever is sent, it says nothing but what the issuer or its responder has signed, to the byte.
func FuzzAnswer(f *testing.F) {
	root := popauthtest.NewCA(f)
	signing := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	responder := root.Client("responder", signing)
	key, _ := responder.Certificate.PrivateKey.(crypto.Signer)
	cert := certificate(f, root.Client("c"))
	now := time.Now()
	signed := map[bool][][]byte{}
	add := func(status int, by *x509.Certificate, key crypto.Signer, sent *x509.Certificate) {
		der, err := ocsp.CreateResponse(root.Certificate, by,
			ocsp.Response{Status: status, SerialNumber: cert.SerialNumber, Certificate: sent,
				IssuerHash: certIDHash(), RevokedAt: now.Add(-time.Hour), ThisUpdate: now.Add(-time.Minute),
				NextUpdate: now.Add(time.Hour)}, key)
		if err != nil {
			f.Fatal(err)
		}
		read, err := ocsp.ParseResponse(der, nil)
		if err != nil {
			f.Fatal(err)
		}
		signed[status == ocsp.Revoked] = append(signed[status == ocsp.Revoked], read.TBSResponseData)
		f.Add(der)
	}
	for _, status := range []int{ocsp.Good, ocsp.Revoked} {
		add(status, root.Certificate, root.Key, nil)
		add(status, root.Certificate, root.Key, root.Certificate)
		add(status, certificate(f, responder), key, certificate(f, responder))
	}
	chain := []*x509.Certificate{cert, root.Certificate}
	f.Fuzz(func(t *testing.T, data []byte) {
		revoked, err := revocation.ReadAnswer(data, chain, now)
		if err != nil {
			return
		}
		for _, one := range signed[revoked] {
			if bytes.Contains(data, one) {
				return
			}
		}
		t.Errorf("VULNERABLE: revoked %t, which nobody has signed: %x", revoked, data)
	})
}
