package revocation_test

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// otherCertificate is one more certificate of an authority, about which no list and no responder can be asked.
func otherCertificate(c *x509.Certificate) *x509.Certificate {
	own := *c
	own.SerialNumber, own.OCSPServer, own.CRLDistributionPoints = bigOne, nil, nil
	return &own
}

// An authority that a file has revoked isn't let in by another certificate of its key, until the file is mended.
func TestAuthorityRevokedByFile(t *testing.T) {
	root := lasting(t)
	between := root.Intermediate("between", long)
	client := certificate(t, between.Client("c", long))
	chain := revoked(client, between.Certificate, root.Certificate)
	w := watch(t, revocation.Options{AllowUnknown: true}, root.CRL(revoked(between.Certificate), issued(-time.Hour)))
	w.want("itself", "revoked", chain...)
	w.clock.Advance(8 * 24 * time.Hour)
	other := revoked(client, otherCertificate(between.Certificate), root.Certificate)
	w.want("its other certificate, the list is over", "revoked", other...)
	w.write(root.CRL(nil, func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(8*24*time.Hour), time.Now().Add(9*24*time.Hour)
	}))
	w.want("its other certificate, by the mended list", "good", other...)
	w.want("itself, by the mended list", "good", chain...)
	w.clock.Advance(8 * 24 * time.Hour)
	w.want("its other certificate, the mended list is over", "good", other...)

	// A list of other certificates mends nothing.
	w = watch(t, revocation.Options{AllowUnknown: true}, root.CRL(revoked(between.Certificate), issued(-time.Hour)))
	w.want("itself", "revoked", chain...)
	w.write(root.CRL(nil, issued(0), point("http://crl.example/elsewhere")))
	w.clock.Advance(8 * 24 * time.Hour)
	w.want("its other certificate, by a list of other certificates", "revoked", other...)

	// A mended list lets in whom it isn't about too.
	const part = "http://crl.example/1"
	partial := root.Intermediate("partial", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{part} })
	below := certificate(t, partial.Client("c"))
	w = watch(t, revocation.Options{AllowUnknown: true}, root.CRL(revoked(partial.Certificate), point(part), issued(-2*time.Hour)))
	w.want("itself", "revoked", below, partial.Certificate, root.Certificate)
	w.want("its other certificate", "revoked", below, otherCertificate(partial.Certificate), root.Certificate)
	w.write(root.CRL(nil, point(part), issued(-time.Hour)))
	w.want("its other certificate, mended", "good", below, otherCertificate(partial.Certificate), root.Certificate)

	// On hold is not for good.
	w = watch(t, revocation.Options{AllowUnknown: true}, root.CRL(revoked(between.Certificate), func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ReasonCode = ocsp.CertificateHold
	}))
	w.want("on hold", "revoked", chain...)
	w.clock.Advance(48 * time.Hour)
	w.want("on hold, the list is over", "good", other...)
}

// What a file has revoked is final once a responder has said so too.
func TestFileMendsNoAnswer(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	bad := certificate(t, root.Client("bad", registry.OCSP))
	registry.Revoke(bad)
	w := watch(t, revocation.Options{OCSP: true}, root.CRL(nil, point("http://crl.example/elsewhere"), issued(-3*time.Hour)))
	w.want("by the responder", "revoked", bad, root.Certificate)
	w.write(root.CRL(revoked(bad), point("http://crl.example/elsewhere"), issued(-2*time.Hour)))
	w.want("by both", "revoked", bad, root.Certificate)
	w.write(root.CRL(nil, issued(-time.Hour)))
	w.want("by a list without it", "revoked", bad, root.Certificate)

	// The key of an authority too, of which the file has another certificate.
	between := root.Intermediate("between", registry.OCSP)
	registry.Revoke(between.Certificate)
	below := certificate(t, between.Client("c"))
	second := otherCertificate(between.Certificate)
	third := *second
	third.SerialNumber = big.NewInt(3)
	w = watch(t, revocation.Options{OCSP: true, AllowUnknown: true},
		root.CRL(revoked(second), point("http://crl.example/elsewhere"), issued(-2*time.Hour)))
	w.want("by the responder", "revoked", below, between.Certificate, root.Certificate)
	w.want("by the file", "revoked", below, second, root.Certificate)
	second.CRLDistributionPoints = []string{"http://crl.example/elsewhere"}
	w.write(root.CRL(nil, point("http://crl.example/elsewhere"), issued(-time.Hour)))
	w.want("mended", "good", below, second, root.Certificate)
	w.want("a third, about which nobody can be asked", "revoked", below, &third, root.Certificate)
}

// A revocation that came when nobody waited for it any more counts as one that was seen.
func TestRevokedWhenNobodyWaits(t *testing.T) {
	for _, kind := range []string{"ocsp", "crl"} {
		root := lasting(t)
		registry := root.Registry()
		bad := certificate(t, root.Client("bad", registry.OCSP, registry.CRL))
		registry.Revoke(bad)
		o := revocation.Options{OCSP: kind == "ocsp", DistributionPoints: kind == "crl", AllowUnknown: true, MaxMemory: 1 << 20}
		c := checker(t, o)
		_, _ = c.Revoked(canceled(), revoked(bad, root.Certificate))
		for deadline := time.Now().Add(5 * time.Second); c.Withdrawn() == 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		registry.Server.Close()
		for i := range 2000 { // the answer is pushed out
			other := *bad
			other.SerialNumber = bigOne
			nowhere := []string{fmt.Sprint("http://127.0.0.1:1/", i)}
			other.OCSPServer, other.CRLDistributionPoints = nowhere, nowhere
			verdict(t, c, &other, root.Certificate)
		}
		if got := verdict(t, c, bad, root.Certificate); got != "revoked" {
			t.Errorf("VULNERABLE: %s: got %s, want revoked", kind, got)
		}
	}
}

// A list that another certificate's request has fetched is looked at for all that were asked about; the next one needn't
// have them any more.
func TestListTellsOfAllThatWereAskedAbout(t *testing.T) {
	root := lasting(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	between := root.Intermediate("between", registry.CRL, long)
	lower := between.Registry()
	lower.Now = clock.Now
	bad, other := root.Client("bad", registry.CRL, long), root.Client("other", registry.CRL, long)
	below := certificate(t, between.Client("below", lower.CRL, long))
	c := checker(t, revocation.Options{DistributionPoints: true, AllowUnknown: true, Now: clock.Now})
	for _, client := range []*popauthtest.Client{bad, other} {
		is(t, "good", try(t, c, root, client), http.StatusOK)
	}
	if got := verdict(t, c, below, between.Certificate, root.Certificate); got != "good" {
		t.Errorf("got %s, want good", got)
	}
	registry.Revoke(certificate(t, bad), between.Certificate)
	clock.Advance(2 * time.Hour)
	is(t, "the other", try(t, c, root, other), http.StatusOK)
	registry.List = func(l *x509.RevocationList) { l.RevokedCertificateEntries = nil }
	clock.Advance(2 * time.Hour)
	is(t, "the other", try(t, c, root, other), http.StatusOK)
	if got := try(t, c, root, bad); got != http.StatusForbidden {
		t.Errorf("VULNERABLE: a fetched list has had it: got %d, want 403", got)
	}
	if got := verdict(t, c, below, otherCertificate(between.Certificate), root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: an authority's other certificate: got %s, want revoked", got)
	}
}

// How many certificates are remembered to have been asked about is bounded.
func TestAskedIsBounded(t *testing.T) {
	root := popauthtest.NewCA(t)
	cert := certificate(t, root.Client("c"))
	is(t, "a hundred", revocation.Asked(cert, root.Certificate, 100), 100)
	is(t, "most of those that fit", revocation.Asked(cert, root.Certificate, 10_000), 10_000)
	is(t, "more than fit", revocation.Asked(cert, root.Certificate, 1<<14+1000), 1<<14)
}

// An older statement never takes the place of a newer one: not after "unknown", which is asked about again soon, not when
// the newer one is over, and not when that had to go from memory. One that was dated into the future sets no mark.
func TestOlderStatement(t *testing.T) {
	week := func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate.Add(7 * 24 * time.Hour) }
	for name, newer := range map[string]func(*ocsp.Response){
		"after unknown": func(r *ocsp.Response) { week(r); r.Status = ocsp.Unknown },
		"after one that is over": func(r *ocsp.Response) {
			r.NextUpdate = r.ThisUpdate.Add(90 * time.Second)
		},
		"after one that was over when it came": func(r *ocsp.Response) { r.NextUpdate = r.ThisUpdate },
		"after one on hold": func(r *ocsp.Response) {
			r.NextUpdate = r.ThisUpdate.Add(90 * time.Second)
			r.Status, r.RevocationReason, r.RevokedAt = ocsp.Revoked, ocsp.CertificateHold, r.ThisUpdate
		},
	} {
		for _, pushed := range []bool{false, true} {
			root := lasting(t)
			registry := root.Registry()
			clock := popauthtest.NewClock(time.Now())
			registry.Now, registry.Answer = clock.Now, week
			var kept []byte
			var replay atomic.Bool
			registry.Serve = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if replay.Load() {
						_, _ = w.Write(kept)
						return
					}
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, r)
					if kept == nil {
						kept = rec.Body.Bytes()
					}
					_, _ = w.Write(rec.Body.Bytes())
				})
			}
			cert := certificate(t, root.Client("c", registry.OCSP, long))
			c := checker(t, revocation.Options{OCSP: true, Now: clock.Now, MaxMemory: 1 << 20})
			if got := verdict(t, c, cert, root.Certificate); got != "good" {
				t.Fatalf("got %s, want good", got)
			}
			registry.Answer = newer
			clock.Advance(2 * time.Hour)
			verdict(t, c, cert, root.Certificate)
			replay.Store(true)
			clock.Advance(2 * time.Minute)
			for i := range 600 * map[bool]int{true: 1}[pushed] {
				other := *cert
				other.SerialNumber, other.OCSPServer = bigOne, []string{fmt.Sprint("http://127.0.0.1:1/", i)}
				_, _ = c.Revoked(canceled(), revoked(&other, root.Certificate))
				if i%50 == 49 {
					time.Sleep(5 * time.Millisecond)
				}
			}
			for range 2 {
				if got := verdict(t, c, cert, root.Certificate); got != "unknown" {
					t.Errorf("VULNERABLE: %s, pushed out %t: got %s, want unknown", name, pushed, got)
				}
				clock.Advance(11 * time.Second)
			}
			replay.Store(false)
			registry.Answer = week
			if got := verdict(t, c, cert, root.Certificate); got != "good" {
				t.Errorf("%s, pushed out %t, a new one: got %s, want good", name, pushed, got)
			}
		}
	}
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = func() time.Time { return clock.Now().Add(24 * 365 * time.Hour) }
	cert := certificate(t, root.Client("c", registry.OCSP))
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now})
	if got := verdict(t, c, cert, root.Certificate); got != "unknown" {
		t.Errorf("of the next year: got %s, want unknown", got)
	}
	registry.Now = clock.Now
	clock.Advance(10 * time.Second)
	if got := verdict(t, c, cert, root.Certificate); got != "good" {
		t.Errorf("of today: got %s, want good", got)
	}
}
