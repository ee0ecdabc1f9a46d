package revocation_test

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// One of ListSigners that a file has revoked acquits nobody, by a file or a fetched list, nor does another certificate of
// its key that was revoked.
func TestRevokedListSigner(t *testing.T) {
	for _, twin := range []bool{false, true} {
		root := popauthtest.NewCA(t)
		old, renewed := root.Intermediate("issuing"), root.Intermediate("issuing")
		registry := renewed.Registry()
		struck := renewed.Certificate
		if twin {
			struck = otherCertificate(struck)
		}
		below := certificate(t, renewed.Client("x"))
		for what, tt := range map[string]struct {
			files []string
			cert  *x509.Certificate
		}{
			"a file":         {[]string{listFile(t, renewed.CRL(nil))}, certificate(t, old.Client("a"))},
			"a fetched list": {nil, certificate(t, old.Client("b", registry.CRL))},
		} {
			for want, entries := range map[string][]*x509.Certificate{"good": nil, "unknown": {struck}} {
				c := checker(t, revocation.Options{ListSigners: []*x509.Certificate{renewed.Certificate}, DistributionPoints: true,
					Files: append(tt.files, listFile(t, root.CRL(entries)))})
				if twin {
					verdict(t, c, below, struck, root.Certificate)
				}
				// That another certificate of the key was revoked strikes one that isn't known to be good, which this one is.
				if twin {
					want = "good"
				}
				if got := verdict(t, c, tt.cert, old.Certificate, root.Certificate); got != want {
					t.Errorf("VULNERABLE: %s, another certificate %t: got %s, want %s", what, twin, got, want)
				}
			}
		}
	}
}

// A list that a revoked signer has made doesn't revoke either, also for those that nobody waits for.
func TestRevokedListSignerRevokesNobody(t *testing.T) {
	root := popauthtest.NewCA(t)
	old, renewed := root.Intermediate("issuing"), root.Intermediate("issuing")
	registry := renewed.Registry()
	client := certificate(t, old.Client("c", registry.CRL))
	registry.Revoke(client)
	c := checker(t, revocation.Options{ListSigners: []*x509.Certificate{renewed.Certificate}, DistributionPoints: true,
		Files: []string{listFile(t, root.CRL(revoked(renewed.Certificate)))}})
	for range 2 {
		if got := verdict(t, c, client, old.Certificate, root.Certificate); got != "unknown" {
			t.Errorf("got %s, want unknown", got)
		}
	}
}

// A signer that isn't known to be good is struck by another certificate of its key that was revoked.
func TestListSignerStruckByItsKey(t *testing.T) {
	root := popauthtest.NewCA(t)
	const part = "http://crl.example/1"
	old := root.Intermediate("issuing", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{part} })
	renewed := root.Intermediate("issuing")
	client := certificate(t, old.Client("c"))
	twin := otherCertificate(renewed.Certificate)
	for want, entries := range map[string][]*x509.Certificate{"good": nil, "unknown": {twin}} {
		c := checker(t, revocation.Options{ListSigners: []*x509.Certificate{renewed.Certificate},
			Files: []string{listFile(t, renewed.CRL(nil)), listFile(t, root.CRL(entries, point(part)))}})
		verdict(t, c, certificate(t, renewed.Client("x")), twin, root.Certificate)
		if got := verdict(t, c, client, old.Certificate, root.Certificate); got != want {
			t.Errorf("VULNERABLE: got %s, want %s", got, want)
		}
	}
}

// Where the root has renewed its key too, the list about a signer is by a signer as well. None vouches for itself.
func TestListSignerOfAListSigner(t *testing.T) {
	root := popauthtest.NewCA(t)
	next := root.Intermediate("x", func(c *x509.Certificate) { c.Subject, c.RawSubject = root.Certificate.Subject, nil })
	old, renewed := root.Intermediate("issuing"), root.Intermediate("issuing")
	client := certificate(t, old.Client("c"))
	signers := []*x509.Certificate{renewed.Certificate, next.Certificate}
	for want, entries := range map[string][]*x509.Certificate{"good": nil, "unknown": {renewed.Certificate}} {
		files := []string{listFile(t, renewed.CRL(nil)), listFile(t, next.CRL(entries))}
		c := checker(t, revocation.Options{ListSigners: signers, Files: files})
		if got := verdict(t, c, client, old.Certificate, root.Certificate); got != want {
			t.Errorf("VULNERABLE: got %s, want %s", got, want)
		}
	}
}

// What a responder says that is revoked itself is forgotten with its answer.
func TestRevokedResponderRevokesNobody(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	registry.Responder = root.Client("responder", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	})
	bad := certificate(t, root.Client("bad", registry.OCSP))
	registry.Revoke(bad)
	over := func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }
	c := checker(t, revocation.Options{OCSP: true,
		Files: []string{listFile(t, root.CRL(revoked(certificate(t, registry.Responder)), over))}})
	for range 2 {
		if got := verdict(t, c, bad, root.Certificate); got != "unknown" {
			t.Errorf("got %s, want unknown", got)
		}
	}
}

// The state of a signer is asked over the network too.
func TestRevokedListSignerByRegistry(t *testing.T) {
	for _, o := range []revocation.Options{{OCSP: true}, {DistributionPoints: true}} {
		root := popauthtest.NewCA(t)
		upper := root.Registry()
		old := root.Intermediate("issuing", upper.OCSP, upper.CRL)
		renewed := root.Intermediate("issuing", upper.OCSP, upper.CRL)
		client := certificate(t, old.Client("c"))
		o.ListSigners, o.Files = []*x509.Certificate{renewed.Certificate}, []string{listFile(t, renewed.CRL(nil))}
		ask := func() string { return verdict(t, checker(t, o), client, old.Certificate, root.Certificate) }
		if got := ask(); got != "good" {
			t.Errorf("before: got %s, want good", got)
		}
		upper.Revoke(renewed.Certificate)
		if got := ask(); got != "unknown" {
			t.Errorf("VULNERABLE: OCSP %t: a list by a revoked signer: got %s, want unknown", o.OCSP, got)
		}
		_, err := checker(t, o).Revoked(t.Context(), revoked(client, old.Certificate, root.Certificate))
		if !contains(err, "revoked itself") {
			t.Errorf("got %v, want an error that tells why", err)
		}
		upper.Server.Close() // nobody can say: the option says that it is trusted; about the old one nobody can say either
		o.Files = append(o.Files, listFile(t, root.CRL(nil, point(upper.Server.URL+"/crl"))))
		o.OCSP, o.DistributionPoints = false, true
		if got := ask(); got != "good" {
			t.Errorf("the registry is down: got %s, want good", got)
		}
	}
}

// A clock that was wrong when a list was first looked at doesn't decide for as long as the list lasts; and of two
// certificates of one key the one counts that is in its period.
func TestListSignerWhoseTimeComes(t *testing.T) {
	root := lasting(t)
	old := root.Intermediate("issuing", long)
	renewed := root.Intermediate("issuing", long)
	client := certificate(t, old.Client("c", long))
	over := *renewed.Certificate
	over.NotAfter = over.NotBefore
	list := renewed.CRL(nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(1000 * time.Hour) })
	upper := root.CRL(nil, func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(1000 * time.Hour) })
	clock := popauthtest.NewClock(time.Now().Add(-48 * time.Hour))
	c := checker(t, revocation.Options{Files: []string{listFile(t, list, upper)}, Now: clock.Now,
		ListSigners: []*x509.Certificate{&over, renewed.Certificate}})
	chain := revoked(client, old.Certificate, root.Certificate)
	if got := verdict(t, c, chain...); got != "unknown" {
		t.Errorf("two days behind: got %s, want unknown", got)
	}
	clock.Advance(48 * time.Hour)
	if got := verdict(t, c, chain...); got != "good" {
		t.Errorf("right: got %s, want good", got)
	}
}

// An answer at one path of a host, which another authority's certificates name, keeps nobody from asking at the others.
func TestRetryAfterOfAnothersPath(t *testing.T) {
	root, stranger := lasting(t), popauthtest.NewCA(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/tenant" {
				w.Header().Set("Retry-After", "86400")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	client := root.Client("c", registry.OCSP, long)
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now})
	is(t, "good", try(t, c, root, client), http.StatusOK)
	registry.Revoke(certificate(t, client))
	clock.Advance(2 * time.Hour)
	is(t, "a stranger's", try(t, c, stranger, stranger.Client("x", responders(registry.Server.URL+"/tenant"))),
		http.StatusServiceUnavailable)
	if got := try(t, c, root, client); got != http.StatusForbidden {
		t.Errorf("VULNERABLE: revoked two hours ago: got %d, want 403", got)
	}
	is(t, "another", try(t, c, root, root.Client("new", registry.OCSP, long)), http.StatusOK)
}
