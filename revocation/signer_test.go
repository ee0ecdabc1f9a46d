package revocation_test

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// serveAnswer has the registry answer with what is made by this key, with this certificate sent along.
func serveAnswer(t *testing.T, r *popauthtest.Registry, issuer, sent *x509.Certificate, key crypto.Signer, serial *x509.Certificate) {
	t.Helper()
	r.Serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			der, err := ocsp.CreateResponse(issuer, sent,
				ocsp.Response{Status: ocsp.Good, SerialNumber: serial.SerialNumber, Certificate: sent,
					IssuerHash: certIDHash(), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}, key)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(der)
		})
	}
}

func private(t *testing.T, c *popauthtest.Client) crypto.Signer {
	t.Helper()
	key, ok := c.Certificate.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatal("no signer")
	}
	return key
}

// Whose certificate comes along doesn't matter, but who has signed.
func TestSignerOfAnAnswer(t *testing.T) {
	signing := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} }
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	client := root.Client("c", registry.OCSP)
	cert := certificate(t, client)
	responder, stranger := root.Client("responder", signing), popauthtest.NewCA(t)
	renamed := *root
	subject := *root.Certificate
	subject.RawSubject, subject.Subject.CommonName = nil, "of the same key, under another name"
	renamed.Certificate = &subject
	namesake := renamed.Client("responder", signing)
	for _, tt := range []struct {
		name string
		sent *x509.Certificate
		key  crypto.Signer
		want int
	}{
		{"the issuer", root.Certificate, root.Key, 200},
		{"a responder", certificate(t, responder), private(t, responder), 200},
		{"the issuer, a responder's certificate sent along", certificate(t, responder), root.Key, 200},
		{"a stranger, a responder's certificate sent along", certificate(t, responder), stranger.Key, 503},
		{"a stranger, the issuer's certificate sent along", root.Certificate, stranger.Key, 503},
		{"a responder of the same key under another name", certificate(t, namesake), private(t, namesake), 503},
	} {
		serveAnswer(t, registry, root.Certificate, tt.sent, tt.key, cert)
		if got := try(t, checker(t, revocation.Options{OCSP: true}), root, client); got != tt.want {
			t.Errorf("VULNERABLE: %s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Nobody speaks for an authority whose certificate isn't one of an authority that may sign lists.
func TestListSignersAreAuthorities(t *testing.T) {
	for name, tt := range map[string]struct {
		signer *x509.Certificate
		fine   bool
	}{
		"an authority": {signer: &x509.Certificate{BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCRLSign},
			fine: true},
		"no key usage":           {signer: &x509.Certificate{BasicConstraintsValid: true, IsCA: true}, fine: true},
		"certificates, no lists": {signer: &x509.Certificate{BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}},
		"CA:FALSE":               {signer: &x509.Certificate{BasicConstraintsValid: true}},
		"CA:FALSE, cRLSign":      {signer: &x509.Certificate{BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign}},
		"constraints not valid":  {signer: &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCRLSign}},
		"none":                   {},
	} {
		_, err := revocation.New(revocation.Options{OCSP: true, ListSigners: []*x509.Certificate{tt.signer}})
		if (err == nil) != tt.fine || err != nil && !contains(err, "ListSigners: entry 0") {
			t.Errorf("VULNERABLE: %s: got %v, want none: %t", name, err, tt.fine)
		}
	}
}

// A list is for the certificates of one name, though an authority may issue by one key under several.
func TestListOfTheSameKeyUnderAnotherName(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	renamed, subject := *root, *root.Certificate
	subject.RawSubject, subject.Subject.CommonName = nil, "of the same key, under another name"
	renamed.Certificate = &subject
	cert := certificate(t, root.Client("c", registry.CRL))
	for _, tt := range []struct {
		name   string
		list   *popauthtest.CA
		listed []*x509.Certificate
		want   string
	}{
		{"the authority's", root, nil, "good"},
		{"of another name", &renamed, nil, "unknown"},
		{"of another name, with the certificate", &renamed, []*x509.Certificate{cert}, "unknown"},
	} {
		registry.Serve = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tt.list.CRL(tt.listed)) })
		}
		c := checker(t, revocation.Options{DistributionPoints: true})
		for range 2 { // what it has said once stays
			if got := verdict(t, c, cert, root.Certificate); got != tt.want {
				t.Errorf("VULNERABLE: a list %s: got %s, want %s", tt.name, got, tt.want)
			}
		}
	}
}

// One of ListSigners speaks for an issuer of its own name, in its own period, below whoever has certified that issuer.
func TestListSigners(t *testing.T) {
	root := popauthtest.NewCA(t)
	subject := func(c *x509.Certificate) { c.Subject.CommonName = "issuing" }
	old := root.Intermediate("issuing", subject)
	client := certificate(t, old.Client("c"))
	chain := []*x509.Certificate{client, old.Certificate, root.Certificate}
	over := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	// speaks signs a list in the issuer's name.
	speaks := func(by *popauthtest.CA, entries ...*x509.Certificate) []byte {
		own := *by
		named := *by.Certificate
		named.RawSubject, named.Subject = old.Certificate.RawSubject, old.Certificate.Subject
		own.Certificate = &named
		return own.CRL(entries)
	}
	for _, tt := range []struct {
		name   string
		signer *popauthtest.CA
		want   string
		bad    string // where it names the certificate
	}{
		{"renewed", root.Intermediate("issuing", subject), "good", "revoked"},
		{"another name", root.Intermediate("another"), "unknown", "unknown"},
		{"over", root.Intermediate("issuing", subject, over), "unknown", "unknown"},
		{"below another root", popauthtest.NewCA(t).Intermediate("issuing", subject), "unknown", "unknown"},
		{"below itself", popauthtest.NewCA(t, subject), "unknown", "unknown"},
	} {
		o := revocation.Options{Files: []string{listFile(t, speaks(tt.signer), root.CRL(nil))},
			ListSigners: []*x509.Certificate{tt.signer.Certificate}}
		if got := verdict(t, checker(t, o), chain...); got != tt.want {
			t.Errorf("VULNERABLE: %s: got %s, want %s", tt.name, got, tt.want)
		}
		o.Files = []string{listFile(t, speaks(tt.signer, client), root.CRL(nil))}
		if got := verdict(t, checker(t, o), chain...); got != tt.bad {
			t.Errorf("%s, revoked: got %s, want %s", tt.name, got, tt.bad)
		}
	}
	// The root's own new key, certified by the old one, and the same by a distribution point.
	registry := root.Registry()
	next := root.Intermediate("x", func(c *x509.Certificate) { c.Subject, c.RawSubject = root.Certificate.Subject, nil })
	registry.Serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(next.CRL(nil)) })
	}
	direct := certificate(t, root.Client("d", registry.CRL))
	o := revocation.Options{DistributionPoints: true}
	if got := verdict(t, checker(t, o), direct, root.Certificate); got != "unknown" {
		t.Errorf("VULNERABLE: the root's new key, and not in ListSigners: got %s, want unknown", got)
	}
	o.ListSigners = []*x509.Certificate{next.Certificate}
	if got := verdict(t, checker(t, o), direct, root.Certificate); got != "good" {
		t.Errorf("the root's new key: got %s, want good", got)
	}
}
