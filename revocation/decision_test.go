package revocation_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientcert"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// hanging is a server that takes what it is asked and never answers.
func hanging(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	hold, asked := make(chan struct{}), &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-hold
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(hold) })
	return s.URL, asked
}

// slow has a registry take so long for each answer.
func slow(r *popauthtest.Registry, d time.Duration) {
	r.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { time.Sleep(d); h.ServeHTTP(w, q) })
	}
}

func responders(urls ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.OCSPServer = urls }
}

// Who has the key of a revoked authority chooses the addresses below it. They aren't asked, and take no time from those
// above.
func TestRevokedAuthorityBeforeItsCertificates(t *testing.T) {
	for _, allow := range []bool{false, true} {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		slow(registry, 20*time.Millisecond)
		between := root.Intermediate("between", registry.OCSP)
		registry.Revoke(between.Certificate)
		url, asked := hanging(t)
		thief := between.Client("thief", responders(url, url+"/2", url+"/3", url+"/4"))
		c := checker(t, revocation.Options{OCSP: true, AllowUnknown: allow, Timeout: 500 * time.Millisecond})
		if got := try(t, c, root, thief); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: AllowUnknown %t: got %d, want 403", allow, got)
		}
		if got := verdict(t, c, certificate(t, thief), otherCertificate(between.Certificate), root.Certificate); got != "revoked" {
			t.Errorf("VULNERABLE: AllowUnknown %t, by its other certificate: got %s, want revoked", allow, got)
		}
		is(t, "requests to the thief's addresses", int(asked.Load()), 0)
	}
}

// However long a chain the thief makes, and though all in it hang, the authority above it keeps half of the time.
func TestLongChainTakesNoTimeFromAbove(t *testing.T) {
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	slow(registry, 300*time.Millisecond)
	url, _ := hanging(t)
	own := root.Intermediate("between", registry.OCSP)
	registry.Revoke(own.Certificate)
	chain := []*x509.Certificate{own.Certificate, root.Certificate}
	for i := range 6 {
		own = own.Intermediate(fmt.Sprint("below", i), responders(url))
		chain = append([]*x509.Certificate{own.Certificate}, chain...)
	}
	chain = append([]*x509.Certificate{certificate(t, own.Client("c", responders(url)))}, chain...)
	c := checker(t, revocation.Options{OCSP: true, AllowUnknown: true, Timeout: time.Second})
	start := time.Now()
	if got := verdict(t, c, chain...); got != "revoked" {
		t.Errorf("VULNERABLE: got %s, want revoked", got)
	}
	// A share of the same size for each would have ended after 125 ms, and the answer would have been found at the end.
	if took := time.Since(start); took > 800*time.Millisecond {
		t.Errorf("took %v, want about 300 ms", took)
	}
}

// A source that hangs leaves time for the next one of the same certificate, and an authority's for those below it.
func TestHangingSourceLeavesTime(t *testing.T) {
	url, _ := hanging(t)
	for _, allow := range []bool{false, true} {
		o := revocation.Options{OCSP: true, DistributionPoints: true, AllowUnknown: allow, Timeout: 500 * time.Millisecond}
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		both := func(c *x509.Certificate) {
			c.OCSPServer = []string{url, url + "/2"}
			c.CRLDistributionPoints = []string{url + "/3", registry.Server.URL + "/crl"}
		}
		bad, good := root.Client("bad", both), root.Client("good", both)
		registry.Revoke(certificate(t, bad))
		if got := try(t, checker(t, o), root, bad); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: AllowUnknown %t, on the list: got %d, want 403", allow, got)
		}
		is(t, "not on the list", try(t, checker(t, o), root, good), http.StatusOK)

		between := root.Intermediate("between", responders(url))
		lower := between.Registry()
		bad = between.Client("bad", lower.OCSP)
		lower.Revoke(certificate(t, bad))
		if got := try(t, checker(t, o), root, bad); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: AllowUnknown %t, the authority's responder hangs: got %d, want 403", allow, got)
		}
	}
}

// A source that takes longer than its share has the time that others have left.
func TestSlowSourceHasWhatIsLeft(t *testing.T) {
	for _, allow := range []bool{false, true} {
		root := popauthtest.NewCA(t)
		registry := root.Registry()
		slow(registry, 600*time.Millisecond)
		between := root.Intermediate("between", registry.OCSP)
		lower := between.Registry()
		client := between.Client("c", lower.OCSP, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://127.0.0.1:1/"} })
		o := revocation.Options{OCSP: true, DistributionPoints: true, AllowUnknown: allow, Timeout: time.Second}
		is(t, "good", try(t, checker(t, o), root, client), http.StatusOK)
		registry.Revoke(between.Certificate)
		if got := try(t, checker(t, o), root, client); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: AllowUnknown %t, revoked: got %d, want 403", allow, got)
		}
	}
}

// What is known to be revoked waits for nobody.
func TestKnownRevokedWaitsForNobody(t *testing.T) {
	root := popauthtest.NewCA(t)
	url, _ := hanging(t)
	between := root.Intermediate("between", responders(url))
	registry := between.Registry()
	bad := certificate(t, between.Client("bad", registry.OCSP))
	registry.Revoke(bad)
	c := checker(t, revocation.Options{OCSP: true, Timeout: 300 * time.Millisecond})
	for _, bound := range []time.Duration{2 * time.Second, 100 * time.Millisecond} {
		start := time.Now()
		if got := verdict(t, c, bad, between.Certificate, root.Certificate); got != "revoked" {
			t.Errorf("got %s, want revoked", got)
		}
		if took := time.Since(start); took > bound {
			t.Errorf("took %v, want less than %v", took, bound)
		}
	}
}

// An acquittal that is older than MaxAge counts because its source has failed, and not because the caller had no time
// for it, or because there was none among the fetches at once.
func TestOldAcquittalNeedsItsSourcesFailure(t *testing.T) {
	root := lasting(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	client := root.Client("c", registry.CRL, long)
	chain := revoked(certificate(t, client), root.Certificate)
	var delay atomic.Int64
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Duration(delay.Load()))
			h.ServeHTTP(w, r)
		})
	}
	for _, allow := range []bool{false, true} {
		c := checker(t, revocation.Options{DistributionPoints: true, AllowUnknown: allow, Now: clock.Now, Timeout: 400 * time.Millisecond})
		is(t, "good", try(t, c, root, client), http.StatusOK)
		clock.Advance(2 * time.Hour)
		delay.Store(int64(300 * time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), 120*time.Millisecond)
		if got, err := c.Revoked(ctx, chain); got || err == nil {
			t.Errorf("VULNERABLE: AllowUnknown %t, a caller with 120 ms: got %t, %v, want an error", allow, got, err)
		}
		cancel()
		delay.Store(0)
	}

	url, asked := hanging(t)
	stranger := popauthtest.NewCA(t)
	c := checker(t, revocation.Options{DistributionPoints: true, Now: clock.Now, Timeout: time.Second})
	is(t, "good", try(t, c, root, client), http.StatusOK)
	registry.Revoke(chain[0])
	clock.Advance(2 * time.Hour)
	for i := range 40 {
		one := *certificate(t, stranger.Client("x"))
		one.CRLDistributionPoints = []string{fmt.Sprint(url, "/", i)}
		_, _ = c.Revoked(canceled(), revoked(&one, stranger.Certificate))
	}
	for deadline := time.Now().Add(time.Second); asked.Load() < 4 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if got := verdict(t, c, chain...); got == "good" {
		t.Errorf("VULNERABLE: it couldn't be asked about: got good, want revoked or unknown")
	}
}

// Where a source has failed lately, and the last acquittal is current, one request waits for the next try, not all.
func TestHangingSourceHoldsUpOne(t *testing.T) {
	root := lasting(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	client := root.Client("c", registry.OCSP, long)
	const patience = 300 * time.Millisecond
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now, Timeout: patience})
	is(t, "good", try(t, c, root, client), http.StatusOK)
	registry.Serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold })
	}
	clock.Advance(2 * time.Hour)
	is(t, "the first", try(t, c, root, client), http.StatusOK)
	time.Sleep(patience / 6) // the fetch ends with Timeout, as the request did
	for range 3 {
		clock.Advance(11 * time.Second) // the pause is over
		var waited atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				start := time.Now()
				is(t, "while it hangs", try(t, c, root, client), http.StatusOK)
				if time.Since(start) > patience/2 {
					waited.Add(1)
				}
			})
		}
		all.Wait()
		is(t, "requests that waited", int(waited.Load()), 1)
		time.Sleep(patience / 6)
	}
	// After hours without a request, that is long ago.
	clock.Advance(10 * time.Hour)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			start := time.Now()
			try(t, c, root, client)
			if took := time.Since(start); took < patience/2 {
				t.Errorf("VULNERABLE: after hours, an acquittal that is older than MaxAge counted after %v", took)
			}
		})
	}
	all.Wait()
}

// Several ways to the root take no longer than one, and each has its part of the time.
func TestSeveralWaysTakeOneTimeout(t *testing.T) {
	root := popauthtest.NewCA(t)
	url, _ := hanging(t)
	registry := root.Registry()
	between := root.Intermediate("between", responders(url))
	leaf := &popauth.Certificate{Leaf: certificate(t, between.Client("c")), Source: popauth.SourceTLS}
	again := func(serial int64, name func(*x509.Certificate)) *x509.Certificate {
		own := *between.Certificate
		own.SerialNumber = big.NewInt(serial)
		name(&own)
		der, err := x509.CreateCertificate(rand.Reader, &own, root.Certificate, between.Certificate.PublicKey, root.Key)
		if err != nil {
			t.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	leaf.Intermediates = []*x509.Certificate{between.Certificate}
	for i := range 2 {
		leaf.Intermediates = append(leaf.Intermediates, again(int64(900+i), responders(fmt.Sprint(url, "/", i))))
	}
	list := listFile(t, between.CRL(nil))
	ask := func() (int, time.Duration) {
		c := checker(t, revocation.Options{OCSP: true, Files: []string{list}, Timeout: 500 * time.Millisecond})
		source, err := clientcert.Verified(brought{leaf}, clientcert.Verification{Roots: root.Pool(), Revoked: c.Revoked})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		return answered(source), time.Since(start)
	}
	got, took := ask()
	is(t, "all hang", got, http.StatusServiceUnavailable)
	if took > 900*time.Millisecond {
		t.Errorf("took %v, want Options.Timeout, 500 ms", took)
	}
	leaf.Intermediates = append(leaf.Intermediates, again(999, registry.OCSP))
	got, _ = ask()
	is(t, "one way is good", got, http.StatusOK)
}

// A source that had its turn at the very end, or none, has not failed: the time went by for others' fetches.
func TestAskedTooLateIsNoFailure(t *testing.T) {
	for what, after := range map[string]time.Duration{"asked at the very end": 950 * time.Millisecond,
		"not asked": 1300 * time.Millisecond} {
		root := lasting(t)
		registry := root.Registry()
		clock := popauthtest.NewClock(time.Now())
		registry.Now = clock.Now
		client := root.Client("c", registry.CRL, long)
		c := checker(t, revocation.Options{DistributionPoints: true, Now: clock.Now, Timeout: time.Second})
		is(t, "good", try(t, c, root, client), http.StatusOK)
		clock.Advance(2 * time.Hour)
		slow(registry, 300*time.Millisecond)
		time.AfterFunc(after, c.Busy()) // all places are taken until then
		if got := verdict(t, c, certificate(t, client), root.Certificate); got != "unknown" {
			t.Errorf("VULNERABLE: %s: got %s, want unknown", what, got)
		}
	}
	for _, tt := range []struct {
		asked time.Duration // for so long before the fetch ended; negative: not at all
		err   error
		want  bool
	}{
		{-1, context.DeadlineExceeded, false},
		{-1, errors.New("no place"), false},
		{10 * time.Millisecond, fmt.Errorf("fetch: %w", context.DeadlineExceeded), false},
		{200 * time.Millisecond, fmt.Errorf("fetch: %w", context.DeadlineExceeded), true},
		{10 * time.Millisecond, errors.New("status 500"), true},
	} {
		if got := revocation.Failed(tt.asked, tt.err, time.Second); got != tt.want {
			t.Errorf("asked for %v, then %v: counts as failed: got %t, want %t", tt.asked, tt.err, got, tt.want)
		}
	}
}
