package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

func poolOf(all ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range all {
		pool.AddCert(c)
	}
	return pool
}

// What an honest caller sends beside its way doesn't matter, and what is wrong with its way is said as before.
func TestHonestWays(t *testing.T) {
	rootKey, between, gone := key(t, elliptic.P256()), key(t, elliptic.P256()), key(t, elliptic.P256())
	m := &mesh{t: t}
	root := m.issue("root", "root", rootKey, rootKey, true)
	good := m.issue("between", "root", between, rootKey, true)
	of := func(n int) []*x509.Certificate { // roots of the same name that aren't trusted have issued it, too
		all := []*x509.Certificate{good}
		for range n {
			all = append([]*x509.Certificate{m.issue("between", "root", between, gone, true)}, all...)
		}
		return all
	}
	edited := func(edit func(*x509.Certificate)) []*x509.Certificate {
		g := &editor{mesh: m, edit: edit}
		return []*x509.Certificate{g.issue(good, root, rootKey)}
	}
	leaf := m.issue("leaf", "between", key(t, elliptic.P256()), between, false)
	for _, tt := range []struct {
		name  string
		sent  []*x509.Certificate
		roots *x509.CertPool
		fails func(error) bool // nil: accepted
	}{
		{name: "its way", sent: of(0), roots: poolOf(root)},
		{name: "twenty times", sent: append(of(0), repeated(good, 19)...), roots: poolOf(root)},
		{name: "three roots that aren't trusted", sent: of(3), roots: poolOf(root)},
		{name: "the authority is the root", sent: of(0), roots: poolOf(good)},
		{name: "four roots that aren't trusted", sent: of(4), roots: poolOf(root), fails: func(err error) bool {
			return strings.Contains(err.Error(), "more than 3 of the intermediates")
		}},
		{name: "an authority that has expired", roots: poolOf(root), sent: edited(func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Minute)
		}), fails: func(err error) bool {
			invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && invalid.Reason == x509.Expired
		}},
		{name: "an authority with an unknown extension", roots: poolOf(root), sent: edited(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), fails: func(err error) bool {
			_, ok := errors.AsType[x509.UnhandledCriticalExtension](err)
			return ok
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := certname.Verify(leaf, tt.sent,
				x509.VerifyOptions{Roots: tt.roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			if (tt.fails == nil) != (err == nil) || err != nil && !tt.fails(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func repeated(c *x509.Certificate, n int) (all []*x509.Certificate) {
	for range n {
		all = append(all, c)
	}
	return all
}

// editor issues a certificate anew, with something changed.
type editor struct {
	mesh *mesh
	edit func(*x509.Certificate)
}

func (e *editor) issue(like, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
	e.mesh.t.Helper()
	template := *like
	e.edit(&template)
	raw, err := x509.CreateCertificate(rand.Reader, &template, parent, like.PublicKey, by)
	if err != nil {
		e.mesh.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		e.mesh.t.Fatal(err)
	}
	return c
}
