package revocation_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// lasting is an authority whose certificates outlast its lists.
func lasting(t *testing.T) *popauthtest.CA {
	t.Helper()
	return popauthtest.NewCA(t, long)
}

func long(c *x509.Certificate) { c.NotAfter = time.Now().Add(10000 * time.Hour) }

// verdict is the Checker's in one word.
func verdict(t *testing.T, c *revocation.Checker, chain ...*x509.Certificate) string {
	t.Helper()
	got, err := c.Revoked(t.Context(), chain)
	switch {
	case got:
		return "revoked"
	case err != nil:
		return "unknown"
	}
	return "good"
}

// What was revoked stays revoked when list or answer is over and nobody can be asked, with AllowUnknown too. What was
// on hold is unknown then.
func TestRevokedStays(t *testing.T) {
	for _, kind := range []string{"file", "ocsp", "crl"} {
		for _, hold := range []bool{false, true} {
			for _, allow := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, hold %t, AllowUnknown %t", kind, hold, allow), func(t *testing.T) {
					root := lasting(t)
					registry := root.Registry()
					clock := popauthtest.NewClock(time.Now())
					registry.Now = clock.Now
					cert := certificate(t, root.Client("c", registry.OCSP, registry.CRL, long))
					registry.Revoke(cert)
					reason := func(l *x509.RevocationList) {}
					if hold {
						reason = func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = ocsp.CertificateHold }
						registry.Answer = func(r *ocsp.Response) { r.RevocationReason = ocsp.CertificateHold }
					}
					registry.List = reason
					o := revocation.Options{OCSP: kind == "ocsp", DistributionPoints: kind == "crl", AllowUnknown: allow, Now: clock.Now}
					if kind == "file" {
						o.Files = []string{listFile(t, root.CRL(revoked(cert), reason))}
					}
					c := checker(t, o)
					if got := verdict(t, c, cert, root.Certificate); got != "revoked" {
						t.Errorf("at first: got %s, want revoked", got)
					}
					registry.Server.Close()
					clock.Advance(48 * time.Hour)
					want := "revoked"
					if hold {
						want = map[bool]string{false: "unknown", true: "good"}[allow]
					}
					if got := verdict(t, c, cert, root.Certificate); got != want {
						t.Errorf("VULNERABLE: when all is over: got %s, want %s", got, want)
					}
				})
			}
		}
	}
}

// A statement that was over when it came, or is of the future, revokes and doesn't acquit.
func TestRevokedByWhatIsOver(t *testing.T) {
	for name, shift := range map[string]time.Duration{"over": -48 * time.Hour, "of the future": 48 * time.Hour} {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		registry.Now = func() time.Time { return time.Now().Add(shift) }
		bad, good := certificate(t, root.Client("bad", registry.OCSP, registry.CRL)),
			certificate(t, root.Client("good", registry.OCSP, registry.CRL))
		registry.Revoke(bad)
		for kind, o := range map[string]revocation.Options{
			"ocsp": {OCSP: true, AllowUnknown: true}, "crl": {DistributionPoints: true, AllowUnknown: true},
		} {
			if got := verdict(t, checker(t, o), bad, root.Certificate); got != "revoked" {
				t.Errorf("VULNERABLE: %s %s: got %s, want revoked", kind, name, got)
			}
			o.AllowUnknown = false
			if got := verdict(t, checker(t, o), good, root.Certificate); got != "unknown" {
				t.Errorf("VULNERABLE: %s %s, not revoked: got %s, want unknown", kind, name, got)
			}
		}
	}
}

// A list's partition that isn't the certificate's can't acquit it, but what it names is revoked: serial numbers are the
// issuer's, not the partition's.
func TestRevokedByAnotherPartition(t *testing.T) {
	root := popauthtest.NewCA(t)
	cert := certificate(t, root.Client("c"))
	c := checker(t, revocation.Options{Files: []string{listFile(t, root.CRL(revoked(cert), point("http://crl.example/2")))},
		AllowUnknown: true})
	if got := verdict(t, c, cert, root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: got %s, want revoked", got)
	}
}

// An answer that a certificate was revoked is remembered apart: other answers can't push it out, and what another source
// says later doesn't undo it.
func TestRevokedIsNotPushedOut(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	bad := certificate(t, root.Client("bad", registry.OCSP))
	registry.Revoke(bad)
	path := listFile(t, root.CRL(nil, point("http://crl.example/other")))
	clock := popauthtest.NewClock(time.Now())
	c := checker(t, revocation.Options{Files: []string{path}, OCSP: true, AllowUnknown: true, MaxMemory: 1 << 20, Now: clock.Now})
	if got := verdict(t, c, bad, root.Certificate); got != "revoked" {
		t.Fatalf("got %s, want revoked", got)
	}
	another := *bad
	for i := range 1000 {
		other := another
		other.SerialNumber = bigOne
		other.OCSPServer = []string{fmt.Sprint("http://127.0.0.1:1/", i)}
		verdict(t, c, &other, root.Certificate)
	}
	registry.Server.Close()
	if got := verdict(t, c, bad, root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: after 1000 others: got %s, want revoked", got)
	}
	write(t, path, root.CRL(nil))
	clock.Advance(time.Minute)
	if got := verdict(t, c, bad, root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: after a list without it: got %s, want revoked", got)
	}
	is(t, "requests", registry.Requests(), 1)
}

// An authority that is known to be revoked by one certificate isn't let in by another one about which nobody can be asked.
func TestRevokedAuthorityByAnotherCertificate(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	between := root.Intermediate("between", registry.OCSP)
	client := certificate(t, between.Client("c"))
	registry.Revoke(between.Certificate)
	registry.Answer = nil
	c := checker(t, revocation.Options{OCSP: true, AllowUnknown: true})
	if got := verdict(t, c, client, between.Certificate, root.Certificate); got != "revoked" {
		t.Errorf("got %s, want revoked", got)
	}
	mute := *between.Certificate
	mute.SerialNumber, mute.OCSPServer = bigOne, nil
	if got := verdict(t, c, client, &mute, root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: by its other certificate, about which nothing is known: got %s, want revoked", got)
	}
	silent, _ := hanging(t)
	short := checker(t, revocation.Options{OCSP: true, AllowUnknown: true, Timeout: 250 * time.Millisecond})
	verdict(t, short, client, between.Certificate, root.Certificate)
	mute.OCSPServer = []string{silent}
	if got := verdict(t, short, client, &mute, root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: by its other certificate, whose responder doesn't answer: got %s, want revoked", got)
	}
	mute.OCSPServer = between.Certificate.OCSPServer
	if got := verdict(t, c, client, &mute, root.Certificate); got != "good" {
		t.Errorf("by its other certificate, which is good: got %s, want good", got)
	}
}

// A responder that doesn't know a certificate any more ends what it said before, and is asked again soon.
func TestUnknownEndsGood(t *testing.T) {
	root := lasting(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	client := root.Client("c", registry.OCSP)
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now})
	is(t, "good", try(t, c, root, client), http.StatusOK)
	registry.Answer = func(r *ocsp.Response) { r.Status = ocsp.Unknown }
	clock.Advance(time.Hour)
	is(t, "unknown", try(t, c, root, client), http.StatusForbidden)
	registry.Answer = nil
	clock.Advance(10 * time.Second)
	is(t, "good again", try(t, c, root, client), http.StatusOK)
}
