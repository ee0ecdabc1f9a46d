package popclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// session is the handle of a key elsewhere, and what its Sign does first.
type session struct {
	crypto.Signer
	calls  atomic.Int32
	before func() error
}

func (s *session) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	if err := s.before(); err != nil {
		return nil, err
	}
	return s.Signer.Sign(r, digest, o)
}

// newSession returns the client's certificate with a handle of its key.
func newSession(c *popauthtest.Client, before func() error) (tls.Certificate, *session) {
	signer, _ := c.Certificate.PrivateKey.(crypto.Signer)
	s := &session{Signer: signer, before: before}
	return tls.Certificate{Certificate: c.Certificate.Certificate, PrivateKey: s}, s
}

// A certificate's signer that hangs fails the requests that need it, within Timeout, and holds a bounded number of
// goroutines. Those that have a connection go on, and all do when it is well again.
func TestCertificateSignerHangs(t *testing.T) {
	s := newRealm(t)
	hold := make(chan struct{})
	var hangs atomic.Bool
	certificate, handle := newSession(s.ca.Client("job"), func() error {
		if hangs.Load() {
			<-hold
		}
		return nil
	})
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) {
		o.Certificate, o.Timeout = popclient.StaticCertificate(certificate), 500*time.Millisecond
	})
	m, _ := client.Transport.(*popclient.MutualTLS)
	do(t, client, request(t, "GET", s.api.URL, nil))
	client.CloseIdleConnections()
	time.Sleep(100 * time.Millisecond)
	before := runtime.NumGoroutine()
	hangs.Store(true)
	handle.calls.Store(0)
	short := &http.Client{Transport: m, Timeout: 10 * time.Millisecond}
	for range 100 {
		if resp, err := short.Get(s.api.URL); err == nil {
			t.Fatalf("got %d, want no answer", resp.StatusCode)
		}
	}
	start := time.Now()
	_, err := client.Get(s.api.URL)
	if err == nil || !strings.Contains(err.Error(), "within 500ms") || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v, want the signer's error after half a second", err, time.Since(start))
	}
	if got := handle.calls.Load(); got > 64 {
		t.Errorf("a signer that hangs was called %d times, want at most 64", got)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+64+8; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines of 100 requests that have ended", runtime.NumGoroutine()-before)
		}
	}
	hangs.Store(false)
	close(hold)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := client.Get(s.api.URL)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %v from a signer that is well again", err)
		}
	}
	// With places to spare, a handshake ends with its context.
	config := credentials(t, m).TLSConfig()
	hangs.Store(true)
	hold = make(chan struct{})
	defer close(hold)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start = time.Now()
	if _, err = (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.api.Listener.Addr().String()); err == nil ||
		time.Since(start) > 300*time.Millisecond {
		t.Errorf("got %v after %v, want the context's end", err, time.Since(start))
	}
}

func credentials(t testing.TB, m *popclient.MutualTLS) *popclient.Credentials {
	t.Helper()
	c, err := m.Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// One that panics or ends its goroutine fails a handshake and not the process.
func TestCertificateSignerEndsBadly(t *testing.T) {
	for want, before := range map[string]func() error{
		"the signer panicked: PKCS#11": func() error { panic("PKCS#11") },
		"the signer did not return":    func() error { runtime.Goexit(); return nil },
		"CKR_SESSION_HANDLE_INVALID":   func() error { return errors.New("CKR_SESSION_HANDLE_INVALID") },
	} {
		s := newRealm(t)
		certificate, _ := newSession(s.ca.Client("job"), before)
		client := s.client(t, nil, func(o *popclient.MutualTLSOptions) { o.Certificate = popclient.StaticCertificate(certificate) })
		if resp, err := client.Get(s.api.URL); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v, want %q", resp, err, want)
		}
		s.check(t, 0, 0)
	}
}

// The function may return the same certificate with another handle of its key, when the session of the first has ended.
// Token and connections stay.
func TestFreshHandle(t *testing.T) {
	s := newRealm(t)
	job := s.ca.Client("job")
	var ended atomic.Bool
	var certificate switched
	first, _ := newSession(job, func() error {
		if ended.Load() {
			return errors.New("CKR_SESSION_HANDLE_INVALID")
		}
		return nil
	})
	certificate.now.Store(&first)
	client := s.client(t, nil, func(o *popclient.MutualTLSOptions) { o.Certificate = certificate.certificate })
	m, _ := client.Transport.(*popclient.MutualTLS)
	do(t, client, request(t, "GET", s.api.URL, nil))
	held := credentials(t, m)
	ended.Store(true)
	second, handle := newSession(job, func() error { return nil })
	certificate.now.Store(&second)
	m.AskNow()
	client.CloseIdleConnections()
	if status, _ := do(t, client, request(t, "GET", s.api.URL, nil)); status != 200 || handle.calls.Load() == 0 {
		t.Errorf("got %d after %d signatures of the new handle, want 200", status, handle.calls.Load())
	}
	s.check(t, 1, 2)
	if again := credentials(t, m); again != held || again.Certificate().PrivateKey != second.PrivateKey {
		t.Errorf("got other credentials, or another handle in them")
	}
}
