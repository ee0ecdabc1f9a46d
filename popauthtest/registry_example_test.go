package popauthtest_test

import (
	"errors"
	"fmt"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// Two certificates of an authority, one of them revoked. The responder is asked for on loopback, by the address in the certificate.
func ExampleRegistry() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	ca := popauthtest.NewCA(t)
	registry := ca.Registry()
	batch, other := ca.Client("batch", registry.OCSP), ca.Client("other", registry.OCSP)
	registry.Revoke(batch.Certificate.Leaf)

	checker, err := revocation.New(revocation.Options{OCSP: true, InternalAddresses: true})
	if err != nil {
		panic(err)
	}
	source, err := clientcert.Verified(popauth.TLSCertificate(), clientcert.Verification{Roots: ca.Pool(), Revoked: checker.Revoked})
	if err != nil {
		panic(err)
	}
	for _, client := range []*popauthtest.Client{batch, other} {
		_, err := source.Certificate(client.Request("GET", "/orders", ""))
		fmt.Println(errors.Is(err, popauth.ErrCertificateRevoked), "asked:", registry.Requests())
	}
	// Output:
	// true asked: 1
	// false asked: 2
}
