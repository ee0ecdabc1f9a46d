package popclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// pair is the files of a client.
type pair struct{ cert, key string }

func newPair(t testing.TB, c *popauthtest.Client) pair {
	t.Helper()
	cert, key, err := c.WritePEM(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return pair{cert, key}
}

// move puts a file in the place of another, as renewal programs do.
func move(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The pair is replaced, one file after the other, while requests run: none fails, and each token comes with the
// certificate that it is bound to, as the Guard sees to.
func TestRenewalUnderLoad(t *testing.T) {
	t.Parallel()
	s := newRealm(t)
	first := newPair(t, s.ca.Client("job"))
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate = popclient.CertificateFiles(first.cert, first.key)
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	var all sync.WaitGroup
	var done atomic.Bool
	var n atomic.Int32
	for range 4 {
		all.Go(func() {
			for !done.Load() {
				m.AskAgain()
				if status, body := do(t, client, request(t, "PUT", s.api.URL, strings.NewReader("x"))); status != 200 || body != "job x" {
					t.Errorf("got %d %q, want 200", status, body)
				}
				n.Add(1)
			}
		})
	}
	var last *popauthtest.Client
	for range 4 {
		last = s.ca.Client("job")
		next := newPair(t, last)
		move(t, next.cert, first.cert)
		time.Sleep(20 * time.Millisecond)
		move(t, next.key, first.key)
		time.Sleep(60 * time.Millisecond)
	}
	done.Store(true)
	all.Wait()
	m.AskAgain()
	do(t, client, request(t, "GET", s.api.URL, nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) < 2 || len(s.tokens) > 5 || s.asked != s.served {
		t.Errorf("got %d tokens for 5 certificates, %d requests of which %d were accepted", len(s.tokens), s.asked, s.served)
	}
	if cnf := part(t, s.tokens[len(s.tokens)-1], 1)["cnf"]; cnf.(map[string]any)["x5t#S256"] != last.Thumbprint() {
		t.Errorf("got a token bound to %v, want the last certificate's %s", cnf, last.Thumbprint())
	}
}

// A pair that is half written keeps the old one in use, and is reported once.
func TestHalfWrittenPair(t *testing.T) {
	s := newRealm(t)
	first, next := newPair(t, s.ca.Client("job")), newPair(t, s.ca.Client("job"))
	logger, logged := newLog()
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate, o.Logger = popclient.CertificateFiles(first.cert, first.key), logger
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	get := func() {
		t.Helper()
		m.AskAgain()
		if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
	get()
	move(t, next.cert, first.cert)
	get()
	get()
	s.check(t, 1, 3)
	if got := strings.Count(logged(), "client certificate not read"); got != 1 {
		t.Errorf("got %d warnings, want 1: %s", got, logged())
	}
	if err := os.Remove(first.key); err != nil {
		t.Fatal(err)
	}
	get()
	s.check(t, 1, 4)
	if got := strings.Count(logged(), "client certificate not read"); got != 2 {
		t.Errorf("got %d warnings, want another for the other reason: %s", got, logged())
	}
	move(t, next.key, first.key)
	get()
	get()
	s.check(t, 2, 6)
	if err := os.Remove(first.key); err != nil {
		t.Fatal(err)
	}
	get()
	if got := strings.Count(logged(), "client certificate not read"); got != 3 {
		t.Errorf("got %d warnings, want another for the reason that had gone: %s", got, logged())
	}
	if !strings.Contains(logged(), "new client certificate") || strings.Contains(logged(), "PRIVATE") {
		t.Errorf("got log %s", logged())
	}
}

// switched supplies the certificate that was set last.
type switched struct {
	now    atomic.Pointer[tls.Certificate]
	calls  atomic.Int32
	err    atomic.Pointer[error]
	panics atomic.Bool
	hangs  atomic.Bool
	stuck  atomic.Pointer[chan struct{}]
}

func (s *switched) certificate(ctx context.Context) (*tls.Certificate, error) {
	s.calls.Add(1)
	if stuck := s.stuck.Load(); stuck != nil {
		<-*stuck // whatever its context says
	}
	if s.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if s.panics.Load() {
		panic("no vault")
	}
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return s.now.Load(), nil
}

// Until the new certificate has a token, the old one serves: whoever is told too late of a new certificate doesn't stop
// the client. With no token of either, there is none.
func TestNewCertificateNotYetKnown(t *testing.T) {
	s := newRealm(t)
	logger, logged := newLog()
	var certificate switched
	var open atomic.Int32
	old, next := s.ca.Client("job"), s.ca.Client("another")
	certificate.now.Store(&old.Certificate)
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate, o.Logger = certificate.certificate, logger
		o.Transport = &http.Transport{DialContext: counting(&open)}
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	get := func() {
		t.Helper()
		if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
	get()
	certificate.now.Store(&next.Certificate)
	m.AskAgain()
	get()
	get()
	s.check(t, 1, 3)
	// It is logged when those who wait have been told.
	for end := time.Now().Add(5 * time.Second); !strings.Contains(logged(), "invalid_client"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got log %s", logged())
		}
	}
	third := s.ca.Client("job")
	certificate.now.Store(&third.Certificate)
	m.AskAgain()
	get()
	s.check(t, 2, 4)
	certificate.now.Store(&next.Certificate)
	m.AskAgain()
	s.revoke(2)
	if resp, err := client.Get(s.api.URL); err == nil || !strings.Contains(err.Error(), "invalid_client") {
		t.Errorf("got %v, %v, want the token endpoint's error", resp, err)
	}
	becomes(t, &open, 3) // to the token endpoint, by the certificate that has no token, and those of the one before
}

// The function is asked once in ten seconds, by one request, and neither its error, its panic nor its nonsense reaches
// a request.
func TestCertificateFunction(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		for range 3 {
			s.want(t, "t1", 1)
		}
		if got := s.certificate.calls.Load(); got != 1 {
			t.Errorf("got %d calls, want 1", got)
		}
		time.Sleep(10 * time.Second)
		s.want(t, "t1", 1)
		s.want(t, "t1", 1)
		if got := s.certificate.calls.Load(); got != 2 {
			t.Errorf("got %d calls, want 2", got)
		}
		broken := errors.New("no vault")
		s.certificate.err.Store(&broken)
		for _, c := range []*tls.Certificate{nil, {}, {Certificate: [][]byte{{1}}}} {
			time.Sleep(10 * time.Second)
			s.want(t, "t1", 1)
			s.certificate.err.Store(nil)
			s.certificate.now.Store(c)
		}
		if got := strings.Count(s.logged(), "client certificate not read"); got != 2 {
			t.Errorf("got %d warnings, want 2: %s", got, s.logged())
		}
	})
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		time.Sleep(10 * time.Second)
		s.certificate.panics.Store(true)
		s.want(t, "t1", 1)
		time.Sleep(10 * time.Second)
		s.want(t, "t1", 1)
		if got := s.certificate.calls.Load(); got != 3 {
			t.Errorf("got %d calls, want 3", got)
		}
	})
	// One that hangs holds up nobody.
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		time.Sleep(10 * time.Second)
		s.certificate.hangs.Store(true)
		start := time.Now()
		var one sync.WaitGroup
		one.Go(func() {
			if status, err := s.get(t); err != nil || status != 200 || time.Since(start) != 0 {
				t.Errorf("got %d, %v after %v, want 200 at once", status, err, time.Since(start))
			}
		})
		synctest.Wait()
		s.want(t, "t1", 1)
		if took := time.Since(start); took != 0 {
			t.Errorf("the other request took %v", took)
		}
		one.Wait()
		if got := s.certificate.calls.Load(); got != 2 {
			t.Errorf("got %d calls, want 2", got)
		}
		time.Sleep(10 * time.Second) // until it is given up
		synctest.Wait()
	})
}

// A log that is sent by the client itself holds nothing up.
func TestLogThroughClient(t *testing.T) {
	s := newRealm(t)
	var certificate switched
	job := s.ca.Client("job")
	certificate.now.Store(&job.Certificate)
	var client *http.Client
	var again atomic.Bool
	w := writerFunc(func(p []byte) (int, error) {
		if again.CompareAndSwap(false, true) {
			resp, err := client.Get(s.api.URL)
			if err == nil {
				resp.Body.Close()
			}
		}
		return len(p), nil
	})
	client = s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate, o.Logger = certificate.certificate, slog.New(slog.NewTextHandler(w, nil))
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	do(t, client, request(t, "GET", s.api.URL, nil))
	broken := errors.New("no vault")
	for _, step := range []func(){
		func() { certificate.err.Store(&broken) },
		func() {
			certificate.err.Store(nil)
			next := s.ca.Client("job")
			certificate.now.Store(&next.Certificate)
		},
	} {
		step()
		again.Store(false)
		m.AskAgain()
		if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 || !again.Load() {
			t.Errorf("got %d, logged %v, want 200", status, again.Load())
		}
	}
}
