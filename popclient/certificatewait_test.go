package popclient_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A function that hangs until its context ends is waited for once, and by a client that gives its requests less time than
// that not even once to their end. It is logged once.
func TestCertificateFunctionHangsByItsContext(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout time.Duration // of the client
		first   time.Duration // what the first request takes
	}{
		"no timeout":      {0, 10 * time.Second},
		"a shorter one":   {5 * time.Second, 2500 * time.Millisecond},
		"a generous one":  {time.Minute, 10 * time.Second},
		"one that is not": {200 * time.Millisecond, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(t *testing.T, s *stage) {
				s.dayLong()
				s.want(t, "t1", 1)
				s.client.Timeout = tt.timeout
				s.certificate.hangs.Store(true)
				for n := range 10 {
					time.Sleep(30 * time.Second)
					start, wait := time.Now(), time.Duration(0)
					if n == 0 {
						wait = tt.first
					}
					s.want(t, "t1", 1)
					if got := time.Since(start); got != wait {
						t.Errorf("request %d took %v, want %v", n, got, wait)
					}
				}
				if got := strings.Count(s.logged(), "client certificate not read"); got != 1 {
					t.Errorf("got %d warnings of one outage, want 1: %s", got, s.logged())
				}
				next := s.have(t)
				s.certificate.hangs.Store(false)
				time.Sleep(20 * time.Second)
				s.want(t, "t1", 1) // beside
				synctest.Wait()
				s.want(t, "t1", 2)
				s.want(t, "t2", 2)
				s.presented(t, next)
			})
		})
	}
}

// A function that fails slowly is not waited for the next time; one whose answer is relied on again is.
func TestCertificateFunctionFails(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.want(t, "t1", 1)
		down := errors.New("no vault")
		s.certificate.err.Store(&down)
		time.Sleep(time.Minute)
		s.want(t, "t1", 1)
		s.certificate.hangs.Store(true)
		time.Sleep(time.Minute)
		start := time.Now()
		s.want(t, "t1", 1)
		if got := time.Since(start); got != 0 {
			t.Errorf("the request took %v, want none", got)
		}
		s.certificate.hangs.Store(false)
		s.certificate.err.Store(nil)
		time.Sleep(time.Minute)
		s.want(t, "t1", 1)
		synctest.Wait()
		next := s.have(t)
		time.Sleep(time.Minute)
		s.want(t, "t1", 2) // it was waited for
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
}

// With an expired certificate, a request waits a second for a function that fails.
func TestExpiredCertificateOfAFunctionThatHangs(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.have(t, until(time.Minute))
		time.Sleep(20 * time.Second)
		s.want(t, "t1", 1)
		s.certificate.hangs.Store(true)
		time.Sleep(2 * time.Minute)
		for n, want := range []time.Duration{10 * time.Second, time.Second, time.Second} {
			start := time.Now()
			s.want(t, "t1", 1)
			if got := time.Since(start); got != want {
				t.Errorf("request %d took %v, want %v", n, got, want)
			}
			time.Sleep(30 * time.Second)
		}
		time.Sleep(10 * time.Second) // the function has returned
	})
}

// During the pause after a failure, requests without a token fail at once, whatever the certificate's function does.
func TestPauseDoesNotWaitForTheCertificate(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(int) (int, string) { return http.StatusTooManyRequests, "" }
		s.retryAfter = "600"
		s.want(t, "", 1)
		s.certificate.hangs.Store(true)
		time.Sleep(11 * time.Second)
		for range 5 {
			start := time.Now()
			s.want(t, "", 1)
			if got := time.Since(start); got != 0 {
				t.Errorf("the request took %v, want none", got)
			}
		}
		time.Sleep(10 * time.Second) // the function has returned
	})
}
