package popclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// dayLong has the token endpoint grant tokens for a day.
func (s *stage) dayLong() {
	s.answer = func(n int) (int, string) { return 200, granted(fmt.Sprint("t", n), 24*60*60) }
}

// have has the function return another certificate from now on, and returns it.
func (s *stage) have(t testing.TB, change ...func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	c := popauthtest.NewCA(t).Client("job", change...).Certificate
	s.certificate.now.Store(&c)
	return &c
}

// presented holds the certificate that came with the last request against what it should be.
func (s *stage) presented(t testing.TB, want *tls.Certificate) {
	t.Helper()
	leaf, err := x509.ParseCertificate(want.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := leaf.SerialNumber.String(); s.serial != got {
		t.Errorf("VULNERABLE: the certificate %s was presented, want %s", s.serial, got)
	}
}

func until(d time.Duration) func(*x509.Certificate) {
	at := time.Now().Add(d)
	return func(c *x509.Certificate) { c.NotAfter = at }
}

// A client that was idle asks for the certificate before it goes on, also with a token that is good for a day: the one
// that it has may have been replaced long ago.
func TestIdleClient(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(time.Hour))
		time.Sleep(10 * time.Second)
		s.want(t, "t1", 1)
		next := s.have(t)
		time.Sleep(2 * time.Hour)
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
	// While the one before is good, it serves until there is a token; the first request has asked.
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.want(t, "t1", 1)
		next := s.have(t)
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 2)
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
	// With one that has expired the next look is waited for, however short ago the last one was.
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(35*time.Second))
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		next := s.have(t)
		time.Sleep(16 * time.Second)
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
}

// The certificate of before serves while the new one has no token, and no longer than it is valid itself.
func TestFormerCertificateExpires(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(time.Minute))
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		s.answer = func(int) (int, string) { return 400, `{"error":"invalid_client"}` }
		s.have(t)
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 2)
		time.Sleep(time.Minute)
		s.want(t, "", 3)
	})
	// Nor is one kept that has expired when the new one comes.
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(time.Minute))
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		s.answer = func(int) (int, string) { return 400, `{"error":"invalid_client"}` }
		s.have(t)
		time.Sleep(2 * time.Minute)
		s.want(t, "", 2)
	})
}

// A function that hangs, whatever its context says, is waited for once, and called once. What it returns in the end
// counts.
func TestCertificateFunctionHangs(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.want(t, "t1", 1)
		stuck := make(chan struct{})
		s.certificate.stuck.Store(&stuck)
		time.Sleep(time.Minute)
		for n := range 10 {
			start, wait := time.Now(), time.Duration(0)
			if n == 0 {
				wait = 10 * time.Second
			}
			s.want(t, "t1", 1)
			if got := time.Since(start); got != wait {
				t.Errorf("request %d took %v, want %v", n, got, wait)
			}
			time.Sleep(15 * time.Second)
		}
		if got := s.certificate.calls.Load(); got != 2 {
			t.Errorf("the function was called %d times, want 2", got)
		}
		if got := s.logged(); strings.Count(got, "has not returned within 10s") != 1 {
			t.Errorf("got log %s", got)
		}
		next := s.have(t)
		s.certificate.stuck.Store(nil)
		close(stuck)
		synctest.Wait()
		s.want(t, "t1", 2)
		s.want(t, "t2", 2)
		s.presented(t, next)
		if got := s.certificate.calls.Load(); got != 3 {
			t.Errorf("the function was called %d times, want 3: it returns again", got)
		}
	})
	// At the start there is none to go on with.
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		start := time.Now()
		m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
			TokenURL: "https://as.example.com/token", ClientID: "job", Timeout: time.Second,
			Certificate: func(context.Context) (*tls.Certificate, error) { <-stuck; return nil, nil },
		})
		if m != nil || err == nil || !strings.Contains(err.Error(), "has not returned within 1s") || time.Since(start) != time.Second {
			t.Errorf("got %v, %v after %v, want an error after a second", m, err, time.Since(start))
		}
		close(stuck)
	})
}

// The next certificate may be there before its time. The present one serves until then, if it lasts so long.
func TestCertificateBeforeItsTime(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.want(t, "t1", 1)
		at := time.Now().Add(time.Hour)
		next := s.have(t, func(c *x509.Certificate) { c.NotBefore = at })
		for range 3 {
			time.Sleep(19 * time.Minute)
			s.want(t, "t1", 1)
		}
		if got := strings.Count(s.logged(), "is valid from"); got != 1 {
			t.Errorf("got %d warnings, want 1: %s", got, s.logged())
		}
		time.Sleep(4 * time.Minute)
		s.want(t, "t1", 2)
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(time.Minute))
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		at := time.Now().Add(time.Hour)
		next := s.have(t, func(c *x509.Certificate) { c.NotBefore = at })
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		time.Sleep(time.Minute)
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
}

// One that has expired doesn't take over from one that is valid.
func TestExpiredCertificateDoesNotTakeOver(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		first := s.certificate.now.Load()
		s.want(t, "t1", 1)
		s.have(t, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})
		for range 20 {
			time.Sleep(30 * time.Second)
			if status, err := s.get(t); status != 200 || err != nil {
				t.Errorf("got %d, %v, want 200", status, err)
			}
			s.presented(t, first)
		}
		if got := strings.Count(s.logged(), "has been over since"); got != 1 {
			t.Errorf("got %d warnings, want 1: %s", got, s.logged())
		}
	})
}
