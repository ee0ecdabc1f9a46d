package revocation_test

import (
	"context"
	"crypto/x509"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/revocation"
)

// A long file is read beside the requests: they go by the list before, and none waits past its context.
func TestLongFile(t *testing.T) {
	root := popauthtest.NewCA(t)
	client := root.Client("c")
	chain := revoked(certificate(t, client), root.Certificate)
	path := listFile(t, root.CRL(nil))
	long := root.CRL(revoked(chain[0]), func(l *x509.RevocationList) {
		for i := range 300_000 {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i) + 1<<40), RevocationTime: l.ThisUpdate})
		}
	})
	clock := popauthtest.NewClock(time.Now())
	c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now, Timeout: 30 * time.Second})
	slowest := time.Duration(0)
	ask := func(limit time.Duration) string {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		start := time.Now()
		got, err := c.Revoked(ctx, chain)
		slowest = max(slowest, time.Since(start))
		return map[bool]string{true: "revoked", false: "good"}[got] + map[bool]string{true: "", false: ", an error"}[err == nil]
	}
	if got := ask(time.Second); got != "good" {
		t.Fatalf("got %s, want good", got)
	}
	write(t, path, long)
	clock.Advance(10 * time.Second)
	slowest = 0
	for ask(30*time.Second) != "revoked" { // those who come meanwhile
		time.Sleep(time.Millisecond)
	}
	beside := slowest

	// After an idle time a request waits, and ends with its context.
	write(t, path, long)
	clock.Advance(time.Hour)
	slowest = 0
	ask(30 * time.Millisecond)
	if beside > 200*time.Millisecond || slowest > 200*time.Millisecond {
		t.Errorf("requests waited %v beside the reading, and %v with 30 ms", beside, slowest)
	}
	ask(30 * time.Second) // the reading ends before the test does
}

// What was written within a tick of the clock, in place and at the same length, is read all the same.
func TestWrittenInPlace(t *testing.T) {
	root := popauthtest.NewCA(t)
	a, b := certificate(t, root.Client("a")), certificate(t, root.Client("b"))
	one, two := root.CRL(revoked(a)), root.CRL(revoked(b))
	for len(one) != len(two) {
		two = root.CRL(revoked(b))
		one = root.CRL(revoked(a))
	}
	for range 20 {
		path := listFile(t, one)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		clock := popauthtest.NewClock(time.Now())
		c := checker(t, revocation.Options{Files: []string{path}, Now: clock.Now})
		if err := os.WriteFile(path, two, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
		if got := verdict(t, c, b, root.Certificate); got != "revoked" {
			t.Fatalf("VULNERABLE: got %s, want revoked", got)
		}
	}
}
