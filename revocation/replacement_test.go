package revocation_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// watchedFile is a file that is written anew, and a Checker that looks at it each time.
type watchedFile struct {
	t     *testing.T
	path  string
	clock *popauthtest.Clock
	log   lockedBuffer
	c     *revocation.Checker
}

func watch(t *testing.T, o revocation.Options, lists ...[]byte) *watchedFile {
	t.Helper()
	w := &watchedFile{t: t, path: listFile(t, lists...), clock: popauthtest.NewClock(time.Now())}
	o.Files, o.Now, o.Logger = append(o.Files, w.path), w.clock.Now, slog.New(slog.NewTextHandler(&w.log, nil))
	w.c = checker(t, o)
	return w
}

func (w *watchedFile) write(lists ...[]byte) {
	w.t.Helper()
	var all []byte
	for _, der := range lists {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	write(w.t, w.path, all)
	w.clock.Advance(time.Minute)
}

func (w *watchedFile) want(what, want string, chain ...*x509.Certificate) {
	w.t.Helper()
	if got := verdict(w.t, w.c, chain...); got != want {
		w.t.Errorf("VULNERABLE: %s: got %s, want %s", what, got, want)
	}
}

// issued dates a list so long from now, for a week.
func issued(in time.Duration) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(in), time.Now().Add(in+7*24*time.Hour)
	}
}

// A list takes the place of the one before if the same authority has signed it. Otherwise that one stays, and the log says
// what to do.
func TestFileReplacedByAnothersList(t *testing.T) {
	root := lasting(t)
	namesake := lasting(t) // the same name, another key
	other := root.Intermediate("other")
	bad, good := certificate(t, root.Client("bad", long)), certificate(t, root.Client("good", long))
	hit := root.CRL(revoked(bad))
	for name, tt := range map[string]struct {
		lists [][]byte
		log   string
	}{
		"forged":                      {[][]byte{namesake.CRL(nil)}, "has not been signed by the authority"},
		"forged, and of a later year": {[][]byte{namesake.CRL(nil, issued(time.Minute))}, "has not been signed by the authority"},
		"another authority's":         {[][]byte{other.CRL(nil)}, "none of this issuer"},
		"of another scope":            {[][]byte{root.CRL(nil, point("http://crl.example/2"))}, "none of this issuer"},
	} {
		for _, allow := range []bool{false, true} {
			for _, seen := range []bool{true, false} {
				if !seen && strings.HasPrefix(name, "forged") {
					continue // as in a process that starts with it: nobody knows yet whose list it was
				}
				w := watch(t, revocation.Options{AllowUnknown: allow}, hit)
				if seen {
					w.want("before", "good", good, root.Certificate)
				}
				w.write(tt.lists...)
				w.want(name+", revoked before", "revoked", bad, root.Certificate)
				w.want(name+", good before", "good", good, root.Certificate)
				w.write(tt.lists...)
				w.want(name+" again, revoked before", "revoked", bad, root.Certificate)
				if got := w.log.String(); strings.Count(got, "not replaced") != 1 || !strings.Contains(got, tt.log) ||
					!strings.Contains(got, w.path) {
					t.Errorf("%s, logged: got %q, want one line with %q", name, got, tt.log)
				}
				// What is kept acquits until its nextUpdate, and the authority's own list takes its place.
				w.clock.Advance(48 * time.Hour)
				want := map[bool]string{false: "unknown", true: "good"}[allow]
				w.want(name+", over", want, good, root.Certificate)
				w.want(name+", over, revoked before", "revoked", bad, root.Certificate)
				w.write(root.CRL(nil, func(l *x509.RevocationList) { issued(0)(l) }))
				w.want(name+", mended", "good", bad, root.Certificate)
			}
		}
	}
}

// The authority's new key, which ListSigners knows, may take the place of the old one's list.
func TestFileReplacedByListSigner(t *testing.T) {
	root := popauthtest.NewCA(t)
	old, renewed := root.Intermediate("issuing"), root.Intermediate("issuing")
	client := certificate(t, old.Client("c"))
	o := revocation.Options{ListSigners: []*x509.Certificate{renewed.Certificate}, Files: []string{listFile(t, root.CRL(nil))}}
	w := watch(t, o, old.CRL(nil))
	w.want("by the old key", "good", client, old.Certificate, root.Certificate)
	w.write(renewed.CRL(revoked(client), issued(0)))
	w.want("by the new key", "revoked", client, old.Certificate, root.Certificate)
	w.write(renewed.CRL(nil, issued(time.Second)))
	w.want("mended", "good", client, old.Certificate, root.Certificate)
	if got := w.log.String(); strings.Contains(got, "not replaced") {
		t.Errorf("logged: %q", got)
	}
}

// An older list never takes the place of a newer one, which may be over, and may last less long.
func TestOlderFileWhenTheNewerIsOver(t *testing.T) {
	for name, older := range map[string]func(*x509.RevocationList){
		"both over": issued(-8 * 24 * time.Hour),
		"it lasts longer": func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(1000*time.Hour)
		},
		"of the same second, by its number": func(l *x509.RevocationList) { l.Number = bigOne },
	} {
		for _, allow := range []bool{false, true} {
			root := lasting(t)
			bad := certificate(t, root.Client("bad", long))
			good := certificate(t, root.Client("good", long))
			at := time.Now().Add(-time.Hour).Truncate(time.Second)
			same := func(l *x509.RevocationList) { l.ThisUpdate = at }
			w := watch(t, revocation.Options{AllowUnknown: allow}, root.CRL(revoked(bad), same))
			w.clock.Advance(48 * time.Hour)
			w.write(root.CRL(nil, same, older))
			w.want(name, "revoked", bad, root.Certificate)
			w.want(name+", not on the list", map[bool]string{false: "unknown", true: "good"}[allow], good, root.Certificate)
			if got := w.log.String(); !strings.Contains(got, "older than the one before") {
				t.Errorf("%s, logged: got %q", name, got)
			}
		}
	}
	// One that was dated into the future by mistake can be replaced.
	root := popauthtest.NewCA(t)
	good := certificate(t, root.Client("good"))
	w := watch(t, revocation.Options{}, root.CRL(nil, issued(1000*time.Hour)))
	w.want("of the future", "unknown", good, root.Certificate)
	w.write(root.CRL(nil))
	w.want("of today", "good", good, root.Certificate)
	if got := w.log.String(); got != "" {
		t.Errorf("of today, logged: %q", got)
	}
}

// Lists of several scopes stand beside each other, though one is newer than the other.
func TestScopesOfAFile(t *testing.T) {
	root := popauthtest.NewCA(t)
	named := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://crl.example/1"} }
	bad, good := certificate(t, root.Client("bad", named)), certificate(t, root.Client("good", named))
	lists := [][]byte{
		root.CRL(revoked(bad), point("http://crl.example/1"), issued(-2*time.Hour)),
		root.CRL(nil, point("http://crl.example/2"), issued(-time.Hour)),
	}
	w := watch(t, revocation.Options{}, lists...)
	for range 2 {
		w.want("revoked by the older", "revoked", bad, root.Certificate)
		w.want("acquitted by the older", "good", good, root.Certificate)
		w.write(lists...)
	}
}

// A file to which each new list is appended is read as the newest of it.
func TestAppendedFile(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := certificate(t, root.Client("c"))
	lists := [][]byte{root.CRL(nil, issued(-5*time.Hour))}
	w := watch(t, revocation.Options{}, lists...)
	for i, tt := range []struct {
		entries []*x509.Certificate
		want    string
	}{{nil, "good"}, {revoked(client), "revoked"}, {nil, "good"}, {revoked(client), "revoked"}} {
		lists = append(lists, root.CRL(tt.entries, issued(time.Duration(i-4)*time.Hour)))
		w.write(lists...)
		w.want("appended", tt.want, client, root.Certificate)
		if got := verdict(t, checker(t, revocation.Options{Files: []string{w.path}}), client, root.Certificate); got != tt.want {
			t.Errorf("read for the first time: got %s, want %s", got, tt.want)
		}
	}
	// A stranger's list, though the newest, and one of the future displace nothing.
	w.write(append(lists, popauthtest.NewCA(t).CRL(nil), root.CRL(nil, issued(time.Hour)))...)
	w.want("with a stranger's and one of the future", "revoked", client, root.Certificate)
	w.want("with a stranger's and one of the future, another", "good", certificate(t, root.Client("other")), root.Certificate)
	if got := w.log.String(); got != "" {
		t.Errorf("logged: %q", got)
	}
}

// Two authorities of one name, whose lists name one identifier of a key, don't take each other's place.
func TestTwoAuthoritiesOfOneNameInAFile(t *testing.T) {
	one, two := lasting(t), lasting(t)
	for _, ca := range []*popauthtest.CA{one, two} {
		own := *ca.Certificate
		own.SubjectKeyId = []byte{1}
		ca.Certificate = &own
	}
	first, second := certificate(t, one.Client("a", long)), certificate(t, two.Client("b", long))
	w := watch(t, revocation.Options{}, one.CRL(nil, issued(-3*time.Hour)), two.CRL(nil, issued(-time.Hour)))
	w.want("one", "good", first, one.Certificate)
	w.want("two", "good", second, two.Certificate)
	w.write(one.CRL(revoked(first), issued(-2*time.Hour)), two.CRL(nil, issued(-time.Hour)))
	w.want("one, revoked", "revoked", first, one.Certificate)
	w.want("two", "good", second, two.Certificate)
	w.write(two.CRL(revoked(second), issued(0)))
	w.want("one, whose list is gone", "revoked", first, one.Certificate)
	w.want("two, revoked", "revoked", second, two.Certificate)
}

// A file that can't be read while there is time leaves an acquittal open, and what it revokes in force.
func TestFileLateAcquitsNobody(t *testing.T) {
	root := popauthtest.NewCA(t)
	bad, good := certificate(t, root.Client("bad")), certificate(t, root.Client("good"))
	for _, o := range []revocation.Options{{}, {OCSP: true}, {AllowUnknown: true}} {
		o.Timeout = 200 * time.Millisecond
		w := watch(t, o, root.CRL(revoked(bad)))
		w.want("before", "good", good, root.Certificate)
		end := w.c.Reading(w.path, time.Now())
		w.clock.Advance(time.Hour)
		start := time.Now()
		want := "unknown"
		if o.AllowUnknown {
			want = "good"
		}
		w.want("while it is read", want, good, root.Certificate)
		if took := time.Since(start); took < 150*time.Millisecond || took > 2*time.Second {
			t.Errorf("waited for %v, want Timeout, 200 ms", took)
		}
		if o.AllowUnknown && !strings.Contains(w.log.String(), "longer to read than there is time") {
			t.Errorf("logged: got %q", w.log.String())
		}
		w.want("while it is read, revoked", "revoked", bad, root.Certificate)
		_, err := w.c.Revoked(t.Context(), revoked(good, root.Certificate))
		if !o.AllowUnknown && !contains(err, "Options.Timeout") {
			t.Errorf("got %v, want an error that names Options.Timeout", err)
		}
		end()
		w.want("read", "good", good, root.Certificate)
	}
	// Another file doesn't acquit either: the one that is read may revoke.
	w := watch(t, revocation.Options{Timeout: 100 * time.Millisecond, Files: []string{listFile(t, root.CRL(nil))}}, root.CRL(nil))
	end := w.c.Reading(w.path, time.Now())
	w.clock.Advance(time.Hour)
	w.want("by another file", "unknown", good, root.Certificate)
	end()

	// After a minute it is one that can't be read, and the log says so once.
	w = watch(t, revocation.Options{}, root.CRL(revoked(bad)))
	end = w.c.Reading(w.path, time.Now().Add(-time.Minute))
	defer end()
	w.clock.Advance(time.Hour)
	for range 2 {
		w.want("after a minute", "good", good, root.Certificate)
	}
	is(t, "lines", strings.Count(w.log.String(), "still being read after 1m0s"), 1)
}

// The list of an authority that nobody has asked about is kept too where it vanishes.
func TestVanishedListOfNobodys(t *testing.T) {
	root := popauthtest.NewCA(t)
	between := root.Intermediate("between")
	bad := certificate(t, between.Client("bad"))
	w := watch(t, revocation.Options{AllowUnknown: true}, root.CRL(nil), between.CRL(revoked(bad)))
	w.write(root.CRL(nil, issued(0)))
	w.want("its list is gone", "revoked", bad, between.Certificate, root.Certificate)
	if !strings.Contains(w.log.String(), w.path) {
		t.Errorf("logged: got %q", w.log.String())
	}
}

// How many lists are kept that are not in a file any more is bounded; those that end last stay.
func TestKeptListsAreBounded(t *testing.T) {
	root := lasting(t)
	cert := certificate(t, root.Client("c", long))
	numbered := func(i int) *x509.Certificate {
		own := *cert
		own.SerialNumber = big.NewInt(int64(i + 1))
		return &own
	}
	var lists [][]byte
	for i := range 80 {
		lists = append(lists, root.CRL(revoked(numbered(i)), point(fmt.Sprint("http://crl.example/", i)), func(l *x509.RevocationList) {
			l.NextUpdate = time.Now().Add(time.Duration(i+2) * time.Hour)
		}))
	}
	w := watch(t, revocation.Options{}, lists...)
	w.write(root.CRL(nil, issued(0)))
	for i := range lists {
		w.want(fmt.Sprint("list ", i), map[bool]string{false: "good", true: "revoked"}[i >= 16], numbered(i), root.Certificate)
	}
}
