package certname_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/certname"
)

var anyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}

// below issues a certificate with the key identifier of its authority.
func (m *mesh) below(name string, parent *x509.Certificate, own, by *ecdsa.PrivateKey, isCA bool) *x509.Certificate {
	m.t.Helper()
	e := &editor{m, func(*x509.Certificate) {}}
	return e.issue(m.issue(name, parent.Subject.CommonName, own, by, isCA), parent, by)
}

// generations is an authority that has changed its key so many times, and a leaf below an authority of the newest.
type generations struct {
	root, issuing, leaf *x509.Certificate
	policy              []*x509.Certificate // the newest last
}

func newGenerations(t *testing.T, m *mesh, curve elliptic.Curve, n int, identifiers bool) generations {
	t.Helper()
	issue := m.below
	if !identifiers {
		issue = func(name string, parent *x509.Certificate, own, by *ecdsa.PrivateKey, isCA bool) *x509.Certificate {
			return m.issue(name, parent.Subject.CommonName, own, by, isCA)
		}
	}
	rootKey, issuingKey := key(t, elliptic.P256()), key(t, elliptic.P256())
	g := generations{root: m.issue("root", "root", rootKey, rootKey, true)}
	var newest *ecdsa.PrivateKey
	for range n {
		newest = key(t, curve)
		g.policy = append(g.policy, issue("policy", g.root, newest, rootKey, true))
	}
	g.issuing = issue("issuing", g.policy[n-1], issuingKey, newest, true)
	g.leaf = issue("leaf", g.issuing, key(t, elliptic.P256()), issuingKey, false)
	return g
}

// An authority that changes its key has a certificate for each, all of one name, which the operator configures.
func TestKeyChanges(t *testing.T) {
	for _, tt := range []struct {
		name        string
		curve       elliptic.Curve
		n           int
		identifiers bool
	}{
		{name: "one", curve: elliptic.P256(), n: 1, identifiers: true},
		{name: "six", curve: elliptic.P256(), n: 6, identifiers: true},
		{name: "twenty", curve: elliptic.P256(), n: 20, identifiers: true},
		{name: "twelve of P-384", curve: elliptic.P384(), n: 12, identifiers: true},
		{name: "six without key identifiers", curve: elliptic.P256(), n: 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGenerations(t, &mesh{t: t}, tt.curve, tt.n, tt.identifiers)
			all := append([]*x509.Certificate{g.issuing}, g.policy...)
			own := []*x509.Certificate{g.issuing, g.policy[tt.n-1]}
			o := x509.VerifyOptions{Roots: poolOf(g.root), KeyUsages: anyUsage}
			for i := range all {
				configured := slices.Concat(all[i:], all[:i])
				for _, sent := range [][]*x509.Certificate{nil, own, own[:1]} {
					if _, err := certname.Verify(g.leaf, sent, o, configured...); err != nil {
						t.Errorf("order %d, %d sent: %v", i, len(sent), err)
					}
				}
				if _, err := certname.Verify(g.leaf, configured, o); tt.identifiers && err != nil {
					t.Errorf("order %d, all sent: %v", i, err)
				}
			}
		})
	}
}

// Certificates of roots that aren't trusted, configured by the operator, are no wrong ones of the caller's.
func TestConfiguredAreNotCounted(t *testing.T) {
	rootKey, gone, between := key(t, elliptic.P256()), key(t, elliptic.P256()), key(t, elliptic.P256())
	m := &mesh{t: t}
	root := m.issue("root", "root", rootKey, rootKey, true)
	good := m.issue("between", "root", between, rootKey, true)
	leaf := m.issue("leaf", "between", key(t, elliptic.P256()), between, false)
	var old []*x509.Certificate
	for range 6 {
		old = append(old, m.issue("between", "root", between, gone, true))
	}
	o := x509.VerifyOptions{Roots: poolOf(root), KeyUsages: anyUsage}
	if _, err := certname.Verify(leaf, []*x509.Certificate{good}, o, old...); err != nil {
		t.Errorf("configured: %v", err)
	}
	if _, err := certname.Verify(leaf, slices.Concat(old, []*x509.Certificate{good}), o); err == nil {
		t.Error("VULNERABLE: as many are looked at when a caller sends them")
	}

	upper := m.issue("upper", "root", gone, rootKey, true)
	good = m.issue("between", "upper", between, gone, true)
	old = []*x509.Certificate{upper}
	for range 4 {
		old = append(old, m.issue("between", "upper", between, rootKey, true))
	}
	if _, err := certname.Verify(leaf, []*x509.Certificate{good}, o, old...); err != nil {
		t.Errorf("configured, below another: %v", err)
	}

	g := newGenerations(t, m, elliptic.P256(), 4, false)
	pool := poolOf(g.root)
	for range 3 {
		k := key(t, elliptic.P256())
		pool.AddCert(m.issue("root", "root", k, k, true))
	}
	o.Roots = pool
	if _, err := certname.Verify(g.leaf, []*x509.Certificate{g.issuing}, o, g.policy...); err != nil {
		t.Errorf("configured, four roots of one name: %v", err)
	}
}

// Who is found to be issued by somebody is none that hasn't been, even if another of the name was asked first.
func TestFoundAreNotCounted(t *testing.T) {
	m := &mesh{t: t}
	rootKey, upper, other := key(t, elliptic.P256()), key(t, elliptic.P256()), key(t, elliptic.P256())
	own, gone := key(t, elliptic.P256()), key(t, elliptic.P256())
	sent := []*x509.Certificate{m.issue("root", "root", upper, rootKey, true), m.issue("other", "root", other, rootKey, true)}
	for range 3 {
		sent = append(sent, m.issue("x", "root", gone, upper, true))
	}
	sent = append(sent, m.issue("x", "other", own, gone, true), m.issue("x", "other", own, other, true))
	leaf := m.issue("leaf", "x", key(t, elliptic.P256()), own, false)
	o := x509.VerifyOptions{Roots: poolOf(m.issue("root", "root", rootKey, rootKey, true)), KeyUsages: anyUsage}
	if _, err := certname.Verify(leaf, sent, o); err != nil {
		t.Error(err)
	}
}

// With many roots of one name, those that the key identifiers lead to are looked at before the bound is reached.
func TestKeyIdentifiersGoFirst(t *testing.T) {
	m := &mesh{t: t}
	g := newGenerations(t, m, elliptic.P256(), 1, true)
	pool := poolOf(g.root)
	for range 19 {
		k := key(t, elliptic.P256())
		pool.AddCert(m.issue("root", "root", k, k, true))
	}
	gone := key(t, elliptic.P256())
	old := m.below("policy", m.issue("root", "root", gone, gone, true), gone, gone, true)
	o := x509.VerifyOptions{Roots: pool, KeyUsages: anyUsage}
	if _, err := certname.Verify(g.leaf, []*x509.Certificate{old, old, g.issuing, g.policy[0]}, o); err != nil {
		t.Error(err)
	}
}

// A key identifier is a hint: one that differs doesn't undo a signature, to crypto/x509 either.
func TestKeyIdentifiersAreHints(t *testing.T) {
	m := &mesh{t: t}
	rootKey, upper, lower := key(t, elliptic.P256()), key(t, elliptic.P256()), key(t, elliptic.P256())
	root := m.issue("root", "root", rootKey, rootKey, true)
	first := m.issue("first", "root", upper, rootKey, true)
	other := *first
	other.SubjectKeyId = []byte("another")
	second := (&editor{m, func(*x509.Certificate) {}}).issue(m.issue("second", "first", lower, upper, true), &other, upper)
	leaf := m.below("leaf", second, key(t, elliptic.P256()), lower, false)
	if string(second.AuthorityKeyId) != "another" {
		t.Fatal("the key identifiers don't differ")
	}
	o := x509.VerifyOptions{Roots: poolOf(root), KeyUsages: anyUsage}
	if _, err := certname.Verify(leaf, []*x509.Certificate{first, second}, o); err != nil {
		t.Error(err)
	}
}

// The constraint of a root in a pool is asked about whole chains alone, and what it says counts.
func TestConstraintsSeeWholeChains(t *testing.T) {
	g := newGenerations(t, &mesh{t: t}, elliptic.P256(), 2, true)
	sent := append([]*x509.Certificate{g.issuing}, g.policy...)
	for _, refusal := range []error{nil, errors.New("not this one")} {
		var seen []string
		pool := x509.NewCertPool()
		pool.AddCertWithConstraint(g.root, func(chain []*x509.Certificate) error {
			seen = append(seen, fmt.Sprint(chain[0].Subject.CommonName, " ", len(chain)))
			return refusal
		})
		_, err := certname.Verify(g.leaf, sent, x509.VerifyOptions{Roots: pool, KeyUsages: anyUsage})
		if (err == nil) != (refusal == nil) {
			t.Errorf("constraint says %v: got %v", refusal, err)
		}
		if !slices.Equal(seen, []string{"leaf 3"}) {
			t.Errorf("constraint was asked about %q, want the whole chain once", seen)
		}
	}
}

// Where the system keeps its roots to itself, a pool may have more than it shows: nothing is left out for that.
func TestPoolsThatHideRoots(t *testing.T) {
	g := newGenerations(t, &mesh{t: t}, elliptic.P256(), 1, true)
	other := newGenerations(t, &mesh{t: t}, elliptic.P256(), 1, true)
	sent := []*x509.Certificate{g.issuing, g.policy[0]}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		if found, err := certname.OnTheWay(g.leaf, sent, poolOf(other.root), goos); err != nil || len(found) != 0 {
			t.Errorf("%s, a pool of one's own: got %d, %v", goos, len(found), err)
		}
		if found, err := certname.OnTheWay(g.leaf, sent, nil, goos); err != nil || len(found) != len(sent) {
			t.Errorf("%s, the system's: got %d, %v", goos, len(found), err)
		}
	}
	for name, tt := range map[string]struct {
		pool any
		want bool
	}{
		"of the system":                  {&struct{ systemPool bool }{true}, true},
		"of one's own":                   {&struct{ systemPool bool }{}, false},
		"of another version of Go":       {&struct{}{}, true},
		"of another version, with names": {&struct{ systemPool string }{}, true},
		"crypto/x509's":                  {poolOf(g.root), false},
	} {
		if got := certname.MayHide(tt.pool); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Skip(err)
	}
	system.AddCert(g.root)
	want := runtime.GOOS == "darwin" || runtime.GOOS == "windows"
	if got := certname.HidesRoots(system, runtime.GOOS); got != want {
		t.Errorf("the system's with one of one's own, on %s: got %t, want %t", runtime.GOOS, got, want)
	}
	sent = []*x509.Certificate{other.policy[0], other.issuing}
	if found, err := certname.OnTheWay(other.leaf, sent, system, runtime.GOOS); err != nil || (len(found) > 0) != want {
		t.Errorf("%d of another's, %v", len(found), err)
	}
}

// What a caller sends costs no more than is documented, counted in signatures.
func TestDescentIsBounded(t *testing.T) {
	m := &mesh{t: t}
	own := key(t, elliptic.P256())
	named := func(n int) (roots []*x509.Certificate, last *ecdsa.PrivateKey) {
		for range n {
			last = key(t, elliptic.P256())
			roots = append(roots, m.issue("root", "root", last, last, true))
		}
		return roots, last
	}
	several := func(n int, name, issuer string, by *ecdsa.PrivateKey) (all []*x509.Certificate) {
		for range n {
			all = append(all, m.issue(name, issuer, own, by, true))
		}
		return all
	}
	leaf := m.issue("leaf", "x", key(t, elliptic.P256()), own, false)
	for roots, most := range map[int]int{1: 4, 2: 8, 3: 12, 4: 12, 5: 10, 7: 7, 20: 20} {
		pool, last := named(roots)
		if d := certname.Descend(leaf, several(9, "x", "root", own), poolOf(pool...)); d.ByRoots > most || d.Ended == nil {
			t.Errorf("VULNERABLE: %d roots of one name: %d signatures, %v, want at most %d", roots, d.ByRoots, d.Ended, most)
		}
		most = max(13, 3*roots)
		if d := certname.Descend(leaf, several(12, "x", "root", last), poolOf(pool...)); d.ByRoots > most ||
			roots == 1 && len(d.Good) != 12 {
			t.Errorf("VULNERABLE: %d roots of one name: %d signatures for rightful ones, want at most %d", roots, d.ByRoots, most)
		}
		// On the way up each of them is held against the roots again.
		sent := several(4, "x", "root", last)
		if found, err := certname.OnTheWay(leaf, sent, poolOf(pool...), "linux"); len(found)*roots > most || err != nil && roots < 4 {
			t.Errorf("VULNERABLE: %d roots of one name: %d are for the way up, %v", roots, len(found), err)
		}
	}
	pool, last := named(4)
	upper := m.issue("upper", "root", own, last, true)
	if _, err := certname.OnTheWay(leaf, append(several(4, "x", "upper", own), upper), poolOf(pool...), "linux"); err == nil {
		t.Error("VULNERABLE: four roots are asked four times about one authority")
	}
	pool, _ = named(101) // crypto/x509 gives up after a hundred signatures
	if d := certname.Descend(leaf, several(1, "x", "root", own), poolOf(pool...)); len(d.Good) > 0 {
		t.Error("VULNERABLE: vouched for without a right signature")
	}
	pool, last = named(1)
	var clients []*x509.Certificate
	for i := range 19 {
		name := fmt.Sprint("client-", i)
		clients = append(clients, m.issue(name, "root", own, last, false), m.issue("x", name, own, own, false))
	}
	if d := certname.Descend(leaf, clients, poolOf(pool...)); d.ByRoots+d.ByKeys > 0 {
		t.Errorf("VULNERABLE: %d and %d signatures for certificates that may not sign", d.ByRoots, d.ByKeys)
	}
	// Three that name six rightful ones, which all have the name of the three.
	circle := slices.Concat(several(6, "x", "root", last), several(3, "x", "x", key(t, elliptic.P256())))
	d := certname.Descend(leaf, circle, poolOf(pool...))
	if len(d.Good) != 6 || d.ByKeys > certname.MaxSignatures || d.Ended == nil || !strings.Contains(d.Ended.Error(), "12 signatures") {
		t.Errorf("VULNERABLE: %d are vouched for, %d by keys, %v", len(d.Good), d.ByKeys, d.Ended)
	}
}
