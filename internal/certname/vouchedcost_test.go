//go:build !race

// The race detector slows down all but the signatures that costs are compared with.

package certname_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/internal/certname"
)

// Authorities that no root has issued are told by the roots' keys, not by their own, however slow those are.
func TestStrangersKeysAreNotLookedAt(t *testing.T) {
	rootKey, own := key(t, elliptic.P256()), key(t, elliptic.P256())
	one := best(verification(t))
	for name, tt := range map[string]struct {
		root   string
		counts []int
		curve  elliptic.Curve
		edit   func(*x509.Certificate)
		want   string
		most   int // verifications by P-256
	}{
		"of nobody":             {root: "another root", curve: elliptic.P521(), counts: []int{3}, want: "unknown authority", most: 1},
		"of nobody, in a row":   {root: "another root", curve: elliptic.P521(), counts: []int{1, 1, 1}, want: "unknown authority", most: 1},
		"of the root":           {root: "root", curve: elliptic.P521(), counts: []int{3}, want: "unknown authority", most: 5},
		"of the root, in a row": {root: "root", curve: elliptic.P521(), counts: []int{1, 1, 1}, want: "unknown authority", most: 3},
		"of the root, many": {root: "root", curve: elliptic.P384(), counts: []int{6},
			want: "name an authority that hasn't issued them", most: 6},
		"of the root, expired": {
			root: "root", curve: elliptic.P521(), counts: []int{3}, want: "unknown authority", most: 5,
			edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		},
		"of the root, with an unknown extension": {
			root: "root", curve: elliptic.P521(), counts: []int{3}, want: "unknown authority", most: 5,
			edit: func(c *x509.Certificate) {
				c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
			},
		},
	} {
		m := &mesh{t: t}
		pool := poolOf(m.issue(tt.root, tt.root, rootKey, rootKey, true))
		leaf := m.layers(tt.curve, own, tt.counts...)
		if tt.edit != nil {
			e := &editor{m, tt.edit}
			for i, c := range m.intermediates {
				m.intermediates[i] = e.issue(c, &x509.Certificate{RawSubject: c.RawIssuer, SerialNumber: c.SerialNumber}, own)
			}
		}
		o := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		took := best(func() {
			if _, err := certname.Verify(leaf, m.intermediates, o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %q", name, err, tt.want)
			}
		})
		if took > time.Duration(tt.most)*one {
			t.Errorf("VULNERABLE: %s: took %v, want less than %d verifications of %v", name, took, tt.most, one)
		}
	}
}
