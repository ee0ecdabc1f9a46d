package clientcert_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// An operator configures all certificates that its authority has had, in whatever order, and clients send what they have.
func TestVerificationKeyChanges(t *testing.T) {
	root := popauthtest.NewCA(t)
	var generations []*x509.Certificate
	var newest *popauthtest.CA
	for range 6 {
		newest = root.Intermediate("policy")
		generations = append(generations, newest.Certificate)
	}
	issuing := newest.Intermediate("issuing")
	generations = append(generations, issuing.Certificate)
	for range 2 {
		v := clientcert.Verification{Roots: root.Pool(), Intermediates: generations}
		client := issuing.Client("client")
		required(t, v, client.Request("GET", "/", "")).Passed(t)
		client.Certificate.Certificate = client.Certificate.Certificate[:1]
		required(t, v, client.Request("GET", "/", "")).Passed(t)
		thief := popauthtest.NewCA(t).Intermediate("policy").Intermediate("issuing").Client("client")
		required(t, v, thief.Request("GET", "/", "")).Refused(t, 403, "")
		slices.Reverse(generations)
	}
}

// A root may have been added with a constraint, which looks at the certificate of the client.
func TestVerificationConstraint(t *testing.T) {
	root := popauthtest.NewCA(t)
	pool := x509.NewCertPool()
	pool.AddCertWithConstraint(root.Certificate, func(chain []*x509.Certificate) error {
		if chain[0].Subject.CommonName != "partner" {
			return errors.New("not the partner")
		}
		return nil
	})
	v := clientcert.Verification{Roots: pool}
	for _, ca := range []*popauthtest.CA{root, root.Intermediate("between"), root.Intermediate("upper").Intermediate("lower")} {
		required(t, v, ca.Client("partner").Request("GET", "/", "")).Passed(t)
		required(t, v, ca.Client("another").Request("GET", "/", "")).Refused(t, 403, "")
	}
}
