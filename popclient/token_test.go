package popclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// stage is a token endpoint and an API in one bubble of synctest, on connections that are no network's.
type stage struct {
	client      *http.Client
	certificate switched
	logged      func() string

	// answer is the token endpoint's to its nth request, counted from 1.
	answer func(n int) (status int, body string)
	// api is the API's to a request with this token.
	api func(w http.ResponseWriter, token string)

	retryAfter string // of the token endpoint; "" is none

	mu     sync.Mutex
	asked  int      // token requests
	tokens []string // that came to the API
	serial string   // of the certificate that came with the last of them
}

func granted(token string, lifetime int) string {
	return fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, token, lifetime)
}

// onStage runs the test in a bubble. Tokens are t1, t2 and so on, for five minutes, and the API takes all of them.
func onStage(t *testing.T, test func(t *testing.T, s *stage)) {
	synctest.Test(t, func(t *testing.T) {
		ca := popauthtest.NewCA(t)
		s := &stage{
			answer: func(n int) (int, string) { return 200, granted(fmt.Sprint("t", n), 300) },
			api:    func(http.ResponseWriter, string) {},
		}
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: s, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{ca.Server("as.example.com", "api.example.com")}, ClientAuth: tls.RequireAnyClientCert,
		}}
		ended := make(chan error)
		go func() { ended <- server.ServeTLS(p, "", "") }()
		logger, logged := newLog()
		s.logged = logged
		job := ca.Client("job")
		s.certificate.now.Store(&job.Certificate)
		m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
			TokenURL: "https://as.example.com/token", ClientID: "job", RootCAs: ca.Pool(), Logger: logger,
			Certificate: s.certificate.certificate,
			Transport:   &http.Transport{DialContext: p.DialContext},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.client = &http.Client{Transport: m}
		defer func() { // a failed test leaves no goroutine in the bubble either
			s.client.CloseIdleConnections()
			server.Close()
			<-ended
		}()
		test(t, s)
	})
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Host == "as.example.com" {
		s.mu.Lock()
		s.asked++
		n, answer := s.asked, s.answer
		s.mu.Unlock()
		status, body := answer(n)
		if s.retryAfter != "" {
			w.Header().Set("Retry-After", s.retryAfter)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	s.tokens = append(s.tokens, token)
	s.serial = r.TLS.PeerCertificates[0].SerialNumber.String()
	api := s.api
	s.mu.Unlock()
	api(w, token)
}

// get sends a request to the API and returns its status, or the error.
func (s *stage) get(t testing.TB) (int, error) {
	t.Helper()
	resp, err := s.client.Do(request(t, "GET", "https://api.example.com/", nil))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// want sends a request and holds the token that it was sent with, and the number of token requests so far, against what
// they should be. "" is an error, and nothing sent.
func (s *stage) want(t testing.TB, token string, asked int) {
	t.Helper()
	s.tokens = nil
	status, err := s.get(t)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := strings.Join(s.tokens, " "); got != token || s.asked != asked || (err == nil) != (token != "") {
		t.Errorf("got %d, %v, token %q after %d token requests, want %q after %d", status, err, got, s.asked, token, asked)
	}
}

// A token is renewed on the side, from a minute before its end, or from a fifth of its life.
func TestTokenIsRenewedAhead(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		time.Sleep(229 * time.Second) // 300 - 10 - 60 = 230
		s.want(t, "t1", 1)
		time.Sleep(14 * time.Second) // the start is spread over a fifth of a minute
		s.want(t, "t1", 2)
		s.want(t, "t2", 2)
		time.Sleep(time.Hour)
		s.want(t, "t3", 3)
	})
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(n int) (int, string) { return 200, granted(fmt.Sprint("t", n), 20) }
		s.want(t, "t1", 1)
		time.Sleep(13900 * time.Millisecond) // 20 - 2 - 4 = 14
		s.want(t, "t1", 1)
		time.Sleep(time.Second)
		s.want(t, "t1", 2)
		time.Sleep(18 * time.Second)
		s.want(t, "t3", 3)
	})
}

// A token's life counts from when it was asked for: the answer may have been under way for long.
func TestTokenOfSlowServer(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(n int) (int, string) { time.Sleep(9 * time.Second); return 200, granted(fmt.Sprint("t", n), 20) }
		m, _ := s.client.Transport.(*popclient.MutualTLS)
		start := time.Now()
		c, err := m.Credentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if token, err := c.Token(); err != nil || token.Expiry.Sub(start) != 20*time.Second {
			t.Errorf("got %v, %v, want 20 s from the start", token, err)
		}
		time.Sleep(9100 * time.Millisecond) // 20 - 2 = 18
		s.want(t, "t2", 2)
	})
}

// Without expires_in, or with null, it is five minutes.
func TestTokenWithoutLifetime(t *testing.T) {
	for _, member := range []string{"", `,"expires_in":null`} {
		onStage(t, func(t *testing.T, s *stage) {
			s.answer = func(n int) (int, string) {
				return 200, fmt.Sprintf(`{"access_token":"t%d","token_type":"bearer"%s}`, n, member)
			}
			s.want(t, "t1", 1)
			time.Sleep(229 * time.Second)
			s.want(t, "t1", 1)
			time.Sleep(62 * time.Second)
			s.want(t, "t2", 2)
		})
	}
}

// While no new token can be had, the old one is used as long as it is good, and the token endpoint is left in peace.
func TestOldTokenServes(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		s.answer = func(int) (int, string) { return 503, "" }
		time.Sleep(244 * time.Second)
		for range 10 {
			s.want(t, "t1", 2)
		}
		time.Sleep(time.Second) // the first pause
		s.want(t, "t1", 3)
		s.want(t, "t1", 3)
		time.Sleep(1500 * time.Millisecond) // the second is 2 s, less a fifth at most
		s.want(t, "t1", 3)
		time.Sleep(500 * time.Millisecond)
		s.want(t, "t1", 4)
		time.Sleep(290*time.Second - 247*time.Second)
		s.want(t, "", 5)
		s.want(t, "", 5)
		if got := strings.Count(s.logged(), "no new access token"); got != 4 {
			t.Errorf("got %d warnings, want 4: %s", got, s.logged())
		}
		s.answer = func(n int) (int, string) { return 200, granted(fmt.Sprint("t", n), 300) }
		time.Sleep(30 * time.Second)
		s.want(t, "t6", 6)
		s.want(t, "t6", 6)
	})
}

// The pause has an upper bound, and starts again from a second after a success.
func TestPauses(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(int) (int, string) { return 500, "" }
		for n := range 8 {
			s.want(t, "", n+1)
			time.Sleep(30 * time.Second)
		}
		s.want(t, "", 9)
		time.Sleep(23 * time.Second)
		s.want(t, "", 9)
		time.Sleep(7 * time.Second)
		s.answer = func(n int) (int, string) { return 200, granted(fmt.Sprint("t", n), 10) }
		s.want(t, "t10", 10)
		s.answer = func(int) (int, string) { return 500, "" }
		time.Sleep(10 * time.Second)
		s.want(t, "", 11)
		time.Sleep(time.Second)
		s.want(t, "", 12)
	})
}

// One fetch is for all who wait. Who leaves doesn't spoil it for the others.
func TestOneFetch(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(n int) (int, string) { time.Sleep(5 * time.Second); return 200, granted(fmt.Sprint("t", n), 300) }
		start := time.Now()
		var all sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all.Go(func() { // the one who has begun it
			_, err := s.client.Do(request(t, "GET", "https://api.example.com/", nil).WithContext(ctx))
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("got %v after %v, want the deadline", err, took)
			}
		})
		synctest.Wait()
		for range 20 {
			all.Go(func() {
				if status, err := s.get(t); status != 200 || err != nil {
					t.Errorf("got %d, %v, want 200", status, err)
				}
			})
		}
		all.Wait()
		if s.asked != 1 || len(s.tokens) != 20 {
			t.Errorf("got %d token requests and %d requests, want 1 and 20", s.asked, len(s.tokens))
		}
	})
}

// A fetch ends by itself, and so does every request that waits for it.
func TestFetchIsBounded(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.answer = func(int) (int, string) { time.Sleep(11 * time.Second); return 200, granted("t", 300) }
		start := time.Now()
		_, err := s.get(t)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 10*time.Second {
			t.Errorf("got %v after %v, want the deadline after 10 s", err, took)
		}
		time.Sleep(2 * time.Second)
	})
}

// A request that has ended before it begins fetches nothing.
func TestEndedRequest(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.client.Do(request(t, "GET", "https://api.example.com/", nil).WithContext(ctx)); !errors.Is(err,
			context.Canceled) || s.asked != 0 {
			t.Errorf("got %v after %d token requests", err, s.asked)
		}
	})
}
