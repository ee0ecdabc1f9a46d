//go:build !race

// The race detector slows down all but the signatures that costs are compared with.

package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// verification is what one signature by ECDSA with P-256 costs here.
func verification(t testing.TB) time.Duration {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return fastest(200, func() { ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) })
}

func fastest(n int, f func()) time.Duration {
	best := time.Hour
	for range n {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// issued signs what a template says, with a subject in DER, by a name that issues it.
func issued(t testing.TB, template *x509.Certificate, subject, issuer []byte, own, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber, template.RawSubject = big.NewInt(time.Now().UnixNano()), subject
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, template, &x509.Certificate{RawSubject: issuer, SerialNumber: big.NewInt(1)},
		own.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// subjectOf is a subject of many units and a common name.
func subjectOf(t testing.TB, units int, name string) []byte {
	t.Helper()
	var rdns pkix.RDNSequence
	for i := range units {
		rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: fmt.Sprint(i % 10)}})
	}
	rdns = append(rdns, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: name}})
	raw, err := asn1.Marshal(rdns)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// overlapping are two authorities of each name in turn, each issued by either of the next: all of them in order are a way.
func overlapping(t testing.TB, leaf string, layers int, curve elliptic.Curve) []*x509.Certificate {
	t.Helper()
	name := func(layer int) []byte { return subjectOf(t, 0, fmt.Sprintf("layer %d", layer)) }
	key, own := newKey(t, curve), newKey(t, elliptic.P256())
	sent := []*x509.Certificate{issued(t, &x509.Certificate{DNSNames: []string{leaf}}, subjectOf(t, 0, "x"), name(0), own, key)}
	for layer := range layers {
		for i := range 2 {
			sent = append(sent, issued(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
				DNSNames: []string{fmt.Sprintf("x%d.example", i)}}, name(layer), name(layer+1), key, key))
		}
	}
	return sent
}

// crossed are ten authorities of one name and one key that issue each other.
func crossed(t testing.TB, leaf string, curve elliptic.Curve) []*x509.Certificate {
	t.Helper()
	name := subjectOf(t, 0, "crossed")
	key, own := newKey(t, curve), newKey(t, elliptic.P256())
	sent := []*x509.Certificate{issued(t, &x509.Certificate{DNSNames: []string{leaf}}, subjectOf(t, 0, "x"), name, own, key)}
	for i := range 10 {
		sent = append(sent, issued(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			DNSNames: []string{fmt.Sprintf("x%d.example", i)}}, name, name, key, key))
	}
	return sent
}

// registrations are twenty names like those of the certificates above, and one certificate.
func registrations(t testing.TB) clientauth.Static {
	t.Helper()
	byKind := map[string][]clientauth.Registration{}
	add := func(kind string, c clientauth.Credential) {
		byKind[kind] = append(byKind[kind], clientauth.Registration{Credential: c})
	}
	for i := range 20 {
		add("subjects", must(t)(clientauth.SubjectDN(fmt.Sprintf("CN=batch,OU=%d", i))))
		add("names", must(t)(clientauth.SANDNS(fmt.Sprintf("name-%03d.example.org", i))))
		add("mails", must(t)(clientauth.SANEmail(fmt.Sprintf("name@%03d.example.org", i))))
		add("thumbprints", thumbprint(t, popauthtest.SelfSigned(t, fmt.Sprint(i))).Credential)
	}
	// Only the last one is in the certificate, so all are looked at, and the chain is.
	for kind := range byKind {
		add(kind, must(t)(clientauth.SANDNS("batch.example.com")))
	}
	return byKind
}

// A stranger, who holds no key but its own, costs less with a refused request than three signatures do, whatever the
// certificate says and however many registrations the client has.
func TestRefusalsCostLittle(t *testing.T) {
	own := newKey(t, elliptic.P256())
	with := func(units int, names []string, mails []string) []*x509.Certificate {
		return []*x509.Certificate{issued(t, &x509.Certificate{DNSNames: names, EmailAddresses: mails}, subjectOf(t, units, "batch"),
			subjectOf(t, 0, "nobody"), own, own)}
	}
	many := func(format string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(format, i%1000))
		}
		return all
	}
	for what, sent := range map[string][]*x509.Certificate{
		"a subject of 16000 parts": with(16000, nil, nil), "a subject of 1000 parts": with(1000, nil, nil),
		"a subject of 60 parts":           with(60, []string{"batch.example.com"}, nil),
		"9000 names":                      with(0, many("name-%d.example.com", 9000), nil),
		"600 names":                       with(0, append(many("name-%03d.example.com", 600), "batch.example.com"), nil),
		"1000 names":                      with(0, append(many("n%d.x", 1000), "batch.example.com"), nil),
		"500 mails":                       with(0, nil, many("name@%03d.example.com", 500)),
		"one long name, in part":          with(0, many("NAME-%03d.EXAMPLE.COM", 600), nil),
		"authorities that overlap":        overlapping(t, "batch.example.com", 5, elliptic.P521()),
		"authorities that overlap little": overlapping(t, "batch.example.com", 2, elliptic.P384()),
		"authorities in a row":            overlapping(t, "batch.example.com", 1, elliptic.P521()),
		"authorities in a circle":         crossed(t, "batch.example.com", elliptic.P521()),
	} {
		for id := range registrations(t) {
			a := newAuth(t, clientauth.Options{Clients: registrations(t), Roots: popauthtest.NewCA(t).Pool()})
			var spent []time.Duration
			state := &tls.ConnectionState{HandshakeComplete: true, ServerName: "mtls.example.com", PeerCertificates: sent}
			for range 12 {
				r := httptest.NewRequest("POST", "https://mtls.example.com/token", strings.NewReader("client_id="+id))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.TLS = state
				var got outcome
				spent = append(spent, fastest(1, func() { got = send(a, r) }))
				if got.ran || got.Code < 400 {
					t.Fatalf("VULNERABLE: %s, %s: got %d", what, id, got.Code)
				}
			}
			one := verification(t)
			least := time.Hour
			for _, d := range spent[1:] { // the first is the connection's
				least = min(least, d)
			}
			if ratio := float64(least) / float64(one); ratio >= 3 {
				t.Errorf("VULNERABLE: %s, %s: a refused request costs %.1f verifications (%v), want less than 3", what, id, ratio, least)
			} else if testing.Verbose() {
				t.Logf("%s, %s: %.2f verifications, the first %.1f", what, id, ratio, float64(spent[0])/float64(one))
			}
		}
	}
}

// A certificate of a connection is no larger than one of a header: nothing of a larger one is read.
func TestTooLargeCertificate(t *testing.T) {
	own := newKey(t, elliptic.P256())
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("name-%d.example.com", i))
	}
	leaf := issued(t, &x509.Certificate{DNSNames: names}, subjectOf(t, 0, "batch"), subjectOf(t, 0, "nobody"), own, own)
	large := &popauthtest.Client{Certificate: tls.Certificate{Certificate: [][]byte{leaf.Raw}, Leaf: leaf, PrivateKey: own}}
	clients := clientauth.Static{"batch": {thumbprint(t, large)}}
	for name, source := range map[string]popauth.CertificateSource{
		"TLS": nil, "any host": popauth.TLSCertificateAnyHost(), "one's own": fixed{certificate: &popauth.Certificate{Leaf: leaf}},
	} {
		ran := false
		a := newAuth(t, clientauth.Options{Clients: clients, Certificate: source,
			Deny: func(w http.ResponseWriter, _ *http.Request, e *clientauth.Error) {
				if !errors.Is(e, clientauth.ErrCertificateTooLarge) || !strings.Contains(e.Error(), "at most") {
					t.Errorf("%s: got %v, want ErrCertificateTooLarge, and what is the most", name, e)
				}
				clientauth.WriteError(w, e)
			}})
		w := httptest.NewRecorder()
		a.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })).ServeHTTP(w, post(large, form))
		if ran || w.Code != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("VULNERABLE: %s: got %d, ran %t, want 431", name, w.Code, ran)
		}
	}
}
