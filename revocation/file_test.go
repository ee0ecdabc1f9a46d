package revocation_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

var scopeID = asn1.ObjectIdentifier{2, 5, 29, 28}

// extended adds an extension to a list; value is DER.
func extended(id asn1.ObjectIdentifier, critical bool, value ...byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

// point is an issuing distribution point with one URL.
func point(url string) func(*x509.RevocationList) {
	wrap := func(tag int, b []byte) []byte { return append([]byte{byte(0xa0 | tag), byte(len(b))}, b...) }
	name := append([]byte{0x86, byte(len(url))}, url...)
	inner := wrap(0, wrap(0, name))
	return extended(scopeID, true, append([]byte{0x30, byte(len(inner))}, inner...)...)
}

func TestFiles(t *testing.T) {
	root := popauthtest.NewCA(t)
	between := root.Intermediate("between")
	other := popauthtest.NewCA(t) // bears the same name, and has another key
	client, stranger := between.Client("c"), between.Client("d")
	cert := certificate(t, client)
	named := between.Client("c", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://crl.example/1"} })
	good, hit := between.CRL(nil), between.CRL(revoked(cert))
	rootGood := root.CRL(nil)
	stale := func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }
	early := func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(6 * time.Minute) }
	ahead := func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(4 * time.Minute) }
	forged := popauthtest.NewCA(t, func(c *x509.Certificate) { c.Subject = between.Certificate.Subject })
	mute := root.Intermediate("mute", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	for _, tt := range []struct {
		name          string
		lists         [][]byte
		client        *popauthtest.Client
		want, lenient int
	}{
		{"good", [][]byte{good, rootGood}, client, 200, 200},
		{"revoked", [][]byte{hit, rootGood}, client, 403, 403},
		{"another revoked", [][]byte{hit, rootGood}, stranger, 200, 200},
		{"held", [][]byte{between.CRL(nil, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: cert.SerialNumber, RevocationTime: time.Now(),
				ReasonCode: 6}}
		}), rootGood}, client, 403, 403},
		{"intermediate revoked", [][]byte{good, root.CRL(revoked(between.Certificate))}, client, 403, 403},
		{"the root's list of itself", [][]byte{good, root.CRL(revoked(root.Certificate))}, client, 200, 200},
		{"none for the intermediate", [][]byte{good}, client, 403, 200},
		{"none for the leaf", [][]byte{rootGood}, client, 403, 200},
		{"revoked, and nothing about the intermediate", [][]byte{hit}, client, 403, 403},
		{"stale", [][]byte{between.CRL(nil, stale), rootGood}, client, 503, 200},
		{"stale beside a new one", [][]byte{between.CRL(nil, stale), good, rootGood}, client, 200, 200},
		{"two, one revokes", [][]byte{good, hit, rootGood}, client, 403, 403},
		{"two, the other revokes", [][]byte{hit, good, rootGood}, client, 403, 403},
		{"from the future", [][]byte{between.CRL(nil, early), rootGood}, client, 503, 200},
		{"clock a little ahead", [][]byte{between.CRL(nil, ahead), rootGood}, client, 200, 200},
		{"wrong signer, same name", [][]byte{forged.CRL(nil), rootGood}, client, 503, 200},
		{"wrong signer's revocation", [][]byte{good, forged.CRL(revoked(cert)), rootGood}, client, 200, 200},
		{"of another issuer", [][]byte{other.CRL(revoked(cert)), rootGood}, client, 403, 200},
		{"of users", [][]byte{between.CRL(nil, extended(scopeID, true, 0x30, 3, 0x81, 1, 0xff)), rootGood}, client, 200, 200},
		{"of authorities", [][]byte{between.CRL(nil, extended(scopeID, true, 0x30, 3, 0x82, 1, 0xff)), rootGood}, client, 403, 200},
		{"of authorities, for one", [][]byte{good, root.CRL(nil, extended(scopeID, true, 0x30, 3, 0x82, 1, 0xff))}, client, 200, 200},
		{"of users, for an authority", [][]byte{good, root.CRL(nil, extended(scopeID, true, 0x30, 3, 0x81, 1, 0xff))}, client, 403, 200},
		{"its part", [][]byte{between.CRL(nil, point("http://crl.example/1")), rootGood}, named, 200, 200},
		{"another part", [][]byte{between.CRL(nil, point("http://crl.example/2")), rootGood}, named, 403, 200},
		{"a part, and it names none", [][]byte{between.CRL(nil, point("http://crl.example/1")), rootGood}, client, 403, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := revocation.Options{Files: []string{listFile(t, tt.lists...)}}
			is(t, "strict", try(t, checker(t, o), root, tt.client), tt.want)
			o.AllowUnknown = true
			is(t, "lenient", try(t, checker(t, o), root, tt.client), tt.lenient)
		})
	}
	t.Run("an authority that may not sign lists", func(t *testing.T) {
		c := checker(t, revocation.Options{Files: []string{listFile(t, mayNot(mute)), listFile(t, rootGood)}})
		is(t, "status", try(t, c, root, mute.Client("c")), 503)
	})
	t.Run("the root alone", func(t *testing.T) {
		c := checker(t, revocation.Options{Files: []string{listFile(t, rootGood)}})
		is(t, "status", try(t, c, root, root.Client("c")), 200)
	})
	if got, err := checker(t, revocation.Options{OCSP: true}).Revoked(t.Context(), nil); got || err != nil {
		t.Errorf("no chain: got %t, %v", got, err)
	}
}

// mayNot signs a list with the key of an authority whose certificate doesn't allow it.
func mayNot(ca *popauthtest.CA) []byte {
	own := *ca.Certificate
	own.KeyUsage |= x509.KeyUsageCRLSign
	ca2 := *ca
	ca2.Certificate = &own
	return ca2.CRL(nil)
}

func TestUnfitLists(t *testing.T) {
	root := popauthtest.NewCA(t)
	good := root.CRL(nil)
	block := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good})
	entry := func(e pkix.Extension) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: time.Now(),
				ExtraExtensions: []pkix.Extension{e}}}
		}
	}
	for name, data := range map[string][]byte{
		"empty": {}, "not a list": []byte("x"), "cut": good[:len(good)-1], "more behind": append(bytes.Clone(good), 0),
		"a certificate":         root.PEM(),
		"text before":           append([]byte("x\n"), block...),
		"text between":          append(append(bytes.Clone(block), "x\n"...), block...),
		"text behind":           append(bytes.Clone(block), 'x'),
		"cut in the middle":     slices.Concat(block, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good[:len(good)-1]}), block),
		"damaged in the middle": append(append(bytes.Clone(block), "-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n"...), block...),
		"delta":                 root.CRL(nil, extended(asn1.ObjectIdentifier{2, 5, 29, 27}, true, 2, 1, 1)),
		"delta, not critical":   root.CRL(nil, extended(asn1.ObjectIdentifier{2, 5, 29, 27}, false, 2, 1, 1)),
		"unknown critical":      root.CRL(nil, extended(asn1.ObjectIdentifier{1, 2, 3}, true, 5, 0)),
		"indirect":              root.CRL(nil, extended(scopeID, true, 0x30, 3, 0x84, 1, 0xff)),
		"some reasons":          root.CRL(nil, extended(scopeID, true, 0x30, 4, 0x83, 2, 6, 0x40)),
		"attributes":            root.CRL(nil, extended(scopeID, true, 0x30, 3, 0x85, 1, 0xff)),
		"scope malformed":       root.CRL(nil, extended(scopeID, true, 0x30, 9)),
		"scope not a URL":       root.CRL(nil, extended(scopeID, true, 0x30, 7, 0xa0, 5, 0xa0, 3, 0x82, 1, 'x')),
		"scope relative":        root.CRL(nil, extended(scopeID, true, 0x30, 6, 0xa0, 4, 0xa1, 2, 0x31, 0)),
		"entry of another":      root.CRL(nil, entry(pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Value: []byte{0x30, 0}})),
		"entry critical": root.CRL(nil, entry(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true,
			Value: []byte{5, 0}})),
	} {
		if c, err := revocation.New(revocation.Options{Files: []string{listFile(t, data)}}); err == nil || c != nil {
			t.Errorf("%s: got %v, %v, want an error", name, c, err)
		}
		registry := root.Registry()
		registry.Serve = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
		}
		if got := try(t, checker(t, revocation.Options{DistributionPoints: true}), root, root.Client("c", registry.CRL)); got != 503 {
			t.Errorf("VULNERABLE: %s, by a distribution point: got %d, want 503", name, got)
		}
	}
	for name, data := range map[string][]byte{"DER": good, "PEM": block, "two": append(bytes.Clone(block), block...)} {
		if _, err := revocation.New(revocation.Options{Files: []string{listFile(t, data)}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	big := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(big)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64<<20 + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for name, o := range map[string]revocation.Options{
		"nothing to ask: Options.Files":     {},
		"Options.Files: entry 1: more than": {Files: []string{listFile(t, good), big}},
		"regular file":                      {Files: []string{t.TempDir()}},
		"no such file":                      {Files: []string{filepath.Join(t.TempDir(), "none")}},
		"Options.Reread":                    {OCSP: true, Reread: 2 * time.Hour, Timeout: -1},
		"Options.Timeout":                   {OCSP: true, Reread: -1, Timeout: time.Minute},
	} {
		_, err := revocation.New(o)
		want := name[strings.LastIndex(name, ": O")+1:]
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Client("c")
	clock := popauthtest.NewClock(time.Now())
	path := listFile(t, root.CRL(nil))
	var log lockedBuffer // it is written to beside the requests
	c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	is(t, "good", try(t, c, root, client), 200)

	write(t, path, root.CRL(revoked(certificate(t, client))))
	clock.Advance(9 * time.Second)
	is(t, "not looked yet", try(t, c, root, client), 200)
	clock.Advance(11 * time.Second)
	is(t, "revoked", try(t, c, root, client), 403)

	for _, damaged := range [][]byte{nil, []byte("x"), root.CRL(nil)[:40]} {
		write(t, path, damaged)
		clock.Advance(20 * time.Second)
		is(t, "damaged", try(t, c, root, client), 403)
	}
	logged := func() int { return strings.Count(log.String(), "CRL file not read again") }
	for deadline := time.Now().Add(5 * time.Second); logged() < 3 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	is(t, "logged", logged(), 3)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	clock.Advance(20 * time.Second)
	is(t, "gone", try(t, c, root, client), 403)
	write(t, path, root.CRL(nil))
	clock.Advance(20 * time.Second)
	is(t, "there again", try(t, c, root, client), 200)
	clock.Advance(-time.Hour)
	write(t, path, root.CRL(revoked(certificate(t, client))))
	is(t, "clock set back", try(t, c, root, client), 403)

	// The same size at the same time, but another file, where the one before is old enough to be known by these.
	hourAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, hourAgo, hourAgo); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	is(t, "the same, of an hour ago", try(t, c, root, client), 403)
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	for same := root.CRL(revoked(certificate(t, root.Client("x")))); ; same = root.CRL(revoked(certificate(t, root.Client("x")))) {
		if len(same) != len(data) {
			continue
		}
		if err := os.WriteFile(path+".new", same, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path+".new", first.ModTime(), first.ModTime()); err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	is(t, "replaced", try(t, c, root, client), 200)
	clock.Advance(25 * time.Hour)
	if ok, err := c.Revoked(t.Context(), revoked(certificate(t, client), root.Certificate)); ok || err == nil {
		t.Errorf("old: got %t, %v, want an error", ok, err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func FuzzFiles(f *testing.F) {
	root := popauthtest.NewCA(f)
	client := root.Client("c")
	cert := certificate(f, client)
	hit := root.CRL(revoked(cert))
	good := root.CRL(nil)
	f.Add(hit)
	f.Add(good)
	f.Add(root.CRL(nil, point("http://crl.example/1")))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good}))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "crl")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := revocation.New(revocation.Options{Files: []string{path}})
		if err != nil {
			return
		}
		// Only what the authority has signed can acquit or revoke.
		got, err := c.Revoked(t.Context(), revoked(cert, root.Certificate))
		if block, _ := pem.Decode(data); block != nil {
			return
		}
		if got != bytes.Equal(data, hit) || got == false && err == nil && !bytes.Equal(data, good) {
			if list, e := x509.ParseRevocationList(data); e != nil || list.CheckSignatureFrom(root.Certificate) != nil {
				t.Errorf("got %t, %v", got, err)
			}
		}
	})
}
