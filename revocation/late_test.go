package revocation_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// sources are the ways in which a Checker can learn of a revocation, with what makes it known there.
func sources(t *testing.T, clock *popauthtest.Clock, authority func() time.Time,
	age time.Duration) map[string]func() (c *revocation.Checker, root *popauthtest.CA, client *popauthtest.Client, revoke func(),
	asked func() int) {
	remote := func(ocsp bool) func() (*revocation.Checker, *popauthtest.CA, *popauthtest.Client, func(), func() int) {
		return func() (*revocation.Checker, *popauthtest.CA, *popauthtest.Client, func(), func() int) {
			root := lasting(t)
			registry := root.Registry()
			registry.Now = authority
			name := registry.CRL
			if ocsp {
				name = registry.OCSP
			}
			client := root.Client("c", name, long)
			c := checker(t, revocation.Options{OCSP: ocsp, DistributionPoints: !ocsp, Now: clock.Now, MaxAge: age,
				Timeout: 20 * time.Second})
			return c, root, client, func() { registry.Revoke(certificate(t, client)) }, registry.Requests
		}
	}
	return map[string]func() (*revocation.Checker, *popauthtest.CA, *popauthtest.Client, func(), func() int){
		"ocsp": remote(true), "crl": remote(false),
		"file": func() (*revocation.Checker, *popauthtest.CA, *popauthtest.Client, func(), func() int) {
			root := lasting(t)
			client := root.Client("c", long)
			path := listFile(t, root.CRL(nil))
			c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now, Timeout: 20 * time.Second})
			return c, root, client, func() { write(t, path, root.CRL(revoked(certificate(t, client)))) }, func() int { return 0 }
		},
	}
}

// After hours without a request the first one with a revoked certificate is refused.
func TestFirstRequestAfterIdleHours(t *testing.T) {
	for _, name := range []string{"ocsp", "crl", "file"} {
		clock := popauthtest.NewClock(time.Now())
		c, root, client, revoke, _ := sources(t, clock, clock.Now, 0)[name]()
		is(t, name+" before", try(t, c, root, client), http.StatusOK)
		revoke()
		clock.Advance(12 * time.Hour)
		if got := try(t, c, root, client); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: %s, the first request after 12 hours: got %d, want 403", name, got)
		}
	}
}

// The age of an answer is bounded by MaxAge, to the second.
func TestMaxAge(t *testing.T) {
	for _, name := range []string{"ocsp", "crl"} {
		for _, age := range []time.Duration{time.Minute, time.Hour, 20 * time.Hour} {
			clock := popauthtest.NewClock(time.Now())
			c, root, client, revoke, asked := sources(t, clock, clock.Now, age)[name]()
			is(t, name+" before", try(t, c, root, client), http.StatusOK)
			revoke()
			clock.Advance(age - age/4 - time.Second)
			is(t, name+" not old", try(t, c, root, client), http.StatusOK)
			is(t, "asked", asked(), 1)
			clock.Advance(age/4 + time.Second)
			if got := try(t, c, root, client); got != http.StatusForbidden {
				t.Errorf("VULNERABLE: %s at the age of %v: got %d, want 403", name, age, got)
			}
		}
	}
	for _, age := range []time.Duration{-1, time.Second, 25 * time.Hour} {
		if _, err := revocation.New(revocation.Options{OCSP: true, MaxAge: age}); err == nil {
			t.Errorf("MaxAge %v: got no error", age)
		}
	}
}

// An outage leaves the last answer in force until its nextUpdate, and holds up one request in ten seconds at most.
func TestOutageLeavesTheLast(t *testing.T) {
	root := lasting(t)
	registry := root.Registry()
	clock := popauthtest.NewClock(time.Now())
	registry.Now = clock.Now
	client := root.Client("c", registry.OCSP)
	var silent atomic.Bool
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if silent.Load() {
				<-hold
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	c := checker(t, revocation.Options{OCSP: true, Now: clock.Now, Timeout: 300 * time.Millisecond})
	is(t, "good", try(t, c, root, client), http.StatusOK)
	silent.Store(true)
	clock.Advance(2 * time.Hour)
	is(t, "silent", try(t, c, root, client), http.StatusOK)
	time.Sleep(50 * time.Millisecond) // the fetch ends with Timeout, as the request did
	for range 20 {
		start := time.Now()
		is(t, "in the pause", try(t, c, root, client), http.StatusOK)
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("in the pause: took %v", took)
		}
	}
	clock.Advance(23 * time.Hour)
	is(t, "over", try(t, c, root, client), http.StatusServiceUnavailable)
}

// A clock that was ahead, by how much ever, and is put right brings no older verdict back, and keeps nobody from asking.
func TestClockSteps(t *testing.T) {
	for _, name := range []string{"ocsp", "crl"} {
		for _, ahead := range []time.Duration{40 * time.Minute, 5 * time.Hour, 365 * 24 * time.Hour} {
			right := time.Now()
			clock := popauthtest.NewClock(right)
			c, root, client, revoke, _ := sources(t, clock, time.Now, 0)[name]()
			chain := revoked(certificate(t, client), root.Certificate)
			clock.Advance(ahead)
			verdict(t, c, chain...)
			revoke()
			clock.Advance(-ahead + time.Second)
			if got := verdict(t, c, chain...); got != "revoked" {
				t.Errorf("VULNERABLE: %s, %v ahead and back: got %s, want revoked", name, ahead, got)
			}
		}
	}
	// The same where nobody could be asked meanwhile: the pause after that isn't measured by the wrong clock.
	root := popauthtest.NewCA(t)
	registry := root.Registry()
	var down atomic.Bool
	down.Store(true)
	registry.Serve = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	client := root.Client("c", registry.OCSP)
	registry.Revoke(certificate(t, client))
	clock := popauthtest.NewClock(time.Now())
	c := checker(t, revocation.Options{OCSP: true, AllowUnknown: true, Now: clock.Now})
	clock.Advance(24 * time.Hour)
	verdict(t, c, certificate(t, client), root.Certificate)
	down.Store(false)
	clock.Advance(-24 * time.Hour)
	if got := verdict(t, c, certificate(t, client), root.Certificate); got != "revoked" {
		t.Errorf("VULNERABLE: a failure of tomorrow: got %s, want revoked", got)
	}
}

// While a machine sleeps, the monotonic clock stands still, and the calendar goes on.
func TestSleep(t *testing.T) {
	for _, name := range []string{"ocsp", "crl", "file"} {
		clock := popauthtest.NewClock(time.Now())
		c, root, client, revoke, _ := sources(t, clock, clock.Now, 0)[name]()
		is(t, name+" before", try(t, c, root, client), http.StatusOK)
		revoke()
		clock.Advance(61 * time.Minute)
		if got := try(t, c, root, client); got != http.StatusForbidden {
			t.Errorf("VULNERABLE: %s after a sleep: got %d, want 403", name, got)
		}
	}
	// By time.Now itself: the age is what the calendar says where the monotonic clock says less.
	start := time.Now()
	woken := revocation.Stepped(start, time.Hour)
	if woken.Sub(start) != 0 || woken.Round(0).Sub(start.Round(0)) != time.Hour {
		t.Skip("this Go's time.Time is made in another way")
	}
	if age, ok := revocation.Since(start, woken); !ok || age != time.Hour {
		t.Errorf("got %v, %t, want an hour", age, ok)
	}
	if _, ok := revocation.Since(woken, start); ok {
		t.Error("got an age for a time that is still to come")
	}
}

// A file that was copied from an older place doesn't bring an older verdict back.
func TestOlderFile(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Client("c")
	older := root.CRL(nil)
	clock := popauthtest.NewClock(time.Now())
	time.Sleep(1100 * time.Millisecond) // lists are dated to the second
	path := listFile(t, root.CRL(revoked(certificate(t, client))))
	c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now})
	is(t, "revoked", try(t, c, root, client), http.StatusForbidden)
	write(t, path, older)
	clock.Advance(time.Minute)
	if got := try(t, c, root, client); got != http.StatusForbidden {
		t.Errorf("VULNERABLE: an older list: got %d, want 403", got)
	}
	time.Sleep(1100 * time.Millisecond)
	write(t, path, root.CRL(nil))
	clock.Advance(time.Minute)
	is(t, "a newer list", try(t, c, root, client), http.StatusOK)
}
