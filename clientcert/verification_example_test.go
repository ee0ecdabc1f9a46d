package clientcert_test

import (
	"crypto/x509"
	"fmt"
	"net/http"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// On some routes the certificate alone says who is calling.
func ExampleRequire() {
	devices := popauthtest.NewCA(t)
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: devices.Pool()})
	if err != nil {
		panic(err)
	}
	sensor := clientcert.Require(source, clientcert.DNS("sensor-1.example.com"))
	mux := http.NewServeMux()
	mux.Handle("POST /readings", sensor(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := popauth.CertificateFromContext(r.Context())
		_, _ = fmt.Fprint(w, "thanks, ", c.Leaf.DNSNames[0])
	})))

	named := func(c *x509.Certificate) { c.DNSNames = []string{"sensor-1.example.com"} }
	show(mux, devices.Client("sensor", named).Request("POST", "/readings", ""))
	show(mux, devices.Client("display").Request("POST", "/readings", ""))
	show(mux, popauthtest.SelfSigned(t, "impostor", named).Request("POST", "/readings", ""))
	show(mux, (*popauthtest.Client)(nil).Request("POST", "/readings", ""))
	// Output:
	// 200 thanks, sensor-1.example.com
	// 403
	// 403
	// 403
}

// A partner's certificate that nobody vouches for is known by its thumbprint, whichever way that is written.
func ExampleVerified() {
	_, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{SelfSigned: []string{
		"0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9:0a:1b:2c:3d:4e:5f:60:71:82:93:a4:b5:c6:d7:e8:f9",
		"5f6071829300a4b5c6d7e8f90a1b2c3d4e5f6071",
	}})
	fmt.Println(err)
	// Output:
	// clientcert: clientcert.Verification.SelfSigned: entry 1: this is a SHA-1 thumbprint; SHA-256 is needed (openssl x509 -fingerprint -sha256)
}
