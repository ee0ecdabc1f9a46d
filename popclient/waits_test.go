package popclient_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// While the token endpoint hangs, a new certificate stalls nobody: the old one and its token serve on.
func TestRotationWithHangingEndpoint(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.want(t, "t1", 1)
		hold := make(chan struct{})
		answer := s.answer
		s.answer = func(n int) (int, string) {
			if n > 1 {
				<-hold
			}
			return answer(n)
		}
		another := popauthtest.NewCA(t).Client("job")
		s.certificate.now.Store(&another.Certificate)
		time.Sleep(10 * time.Second)
		for range 5 {
			start := time.Now()
			if status, err := s.get(t); status != 200 || err != nil || time.Since(start) != 0 {
				t.Errorf("got %d, %v after %v, want 200 at once", status, err, time.Since(start))
			}
			time.Sleep(3 * time.Second) // the fetch is given up, and made again
		}
		close(hold)
		time.Sleep(30 * time.Second)
		_, _ = s.get(t) // fetches
		synctest.Wait()
		s.tokens = nil
		if status, err := s.get(t); status != 200 || err != nil || s.tokens[0] == "t1" {
			t.Errorf("got %d, %v with %v, want the new certificate's token", status, err, s.tokens)
		}
	})
}

// One API that refuses a token doesn't take it from the others as long as there is no other.
func TestRefusedByOneAPI(t *testing.T) {
	s := newRealm(t)
	var refusals atomic.Int32
	other := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refusals.Add(1)
		w.Header().Set("WWW-Authenticate", invalid)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	s.others = append(s.others, other.Certificate())
	client := s.client(t, s.ca.Client("job"))
	get := func(at string) int {
		resp, err := client.Get(at)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	if got := get(s.api.URL); got != 200 {
		t.Fatalf("got %d, want 200", got)
	}
	for range 20 {
		s.refuse(503, "")
	}
	for range 3 {
		if got := get(other.URL); got == 200 {
			t.Errorf("the API that refuses: got %d", got)
		}
		if got := get(s.api.URL); got != 200 {
			t.Errorf("the other API: got %d, want 200", got)
		}
	}
	if got := refusals.Load(); got != 1 {
		t.Errorf("the refused token was sent %d times to who has refused it, want once", got)
	}
}

// sleeper is a source, or a signer, that hangs.
type sleeper struct {
	hold  chan struct{}
	calls atomic.Int32
	key   crypto.Signer
}

func (s *sleeper) Token() (*oauth2.Token, error) {
	s.calls.Add(1)
	<-s.hold
	return &oauth2.Token{AccessToken: "t", TokenType: "DPoP"}, nil
}

func (s *sleeper) Public() crypto.PublicKey { return s.key.Public() }

func (s *sleeper) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	<-s.hold
	return s.key.Sign(r, digest, o)
}

// Every transport ends with its request, by its context and by http.Client.Timeout, whatever hangs below: the source, a
// signer, the certificate, the token endpoint.
func TestNothingOutlivesItsRequest(t *testing.T) {
	for _, byClient := range []bool{false, true} {
		hold := make(chan struct{})
		silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and doesn't answer
		if err != nil {
			t.Fatal(err)
		}
		source := &sleeper{hold: hold}
		signer := &sleeper{hold: hold, key: generate(t, "ES256")}
		hung, err := popclient.NewKey(signer, "ES256")
		if err != nil {
			t.Fatal(err)
		}
		static := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t", TokenType: "DPoP"})
		ca := popauthtest.NewCA(t)
		job := ca.Client("job")
		var first atomic.Bool
		m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
			TokenURL: "https://" + silent.Addr().String() + "/token", ClientID: "job", RootCAs: ca.Pool(), Timeout: time.Minute,
			Certificate: func(context.Context) (*tls.Certificate, error) {
				if !first.CompareAndSwap(false, true) {
					<-hold // whatever its context says
				}
				return &job.Certificate, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		m.AskLater()
		for name, transport := range map[string]http.RoundTripper{
			"source":         &popclient.DPoP{Key: newKey(t, "ES256"), Source: source},
			"signer":         &popclient.DPoP{Key: hung, Source: static},
			"signer, proofs": &popclient.Proofs{Key: hung},
			"mutual TLS":     m,
		} {
			for range 20 {
				client, ctx := &http.Client{Transport: transport}, t.Context()
				cancel := func() {}
				if byClient {
					client.Timeout = 20 * time.Millisecond
				} else {
					ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				}
				start := time.Now()
				resp, err := client.Do(request(t, "GET", "https://127.0.0.1:1/", nil).WithContext(ctx))
				if err == nil || time.Since(start) > 2*time.Second || !errors.Is(err, context.DeadlineExceeded) &&
					!strings.Contains(err.Error(), "deadline exceeded") {
					t.Errorf("%s, by the client %t: got %v, %v after %v, want the end of the request", name, byClient, resp, err,
						time.Since(start))
				}
				cancel()
			}
		}
		// More at once than a signer may have under way.
		var crowd sync.WaitGroup
		for range 100 {
			crowd.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				start := time.Now()
				_, err := (&popclient.Proofs{Key: hung}).RoundTrip(request(t, "GET", "https://127.0.0.1:1/", nil).WithContext(ctx))
				if err == nil || time.Since(start) > 2*time.Second {
					t.Errorf("one of a hundred: got %v after %v, want the end of the request", err, time.Since(start))
				}
			})
		}
		crowd.Wait()
		if got := signer.calls.Load(); got > 64 {
			t.Errorf("a signer that hangs was called %d times, want at most 64", got)
		}
		if got := source.calls.Load(); got != 1 {
			t.Errorf("a source that hangs was called %d times, want once", got)
		}
		close(hold)
		silent.Close()
		m.CloseIdleConnections()
	}
}

// A source that panics or ends its goroutine fails the request and not the process.
func TestSourceEndsBadly(t *testing.T) {
	d := &popclient.DPoP{Key: newKey(t, "ES256"), Source: panicking{}}
	for range 2 {
		if resp, err := d.RoundTrip(request(t, "GET", "https://api.example.com/", nil)); err == nil ||
			!strings.Contains(err.Error(), "panicked: no source") {
			t.Errorf("got %v, %v, want the panic as an error", resp, err)
		}
	}
}

type panicking struct{}

func (panicking) Token() (*oauth2.Token, error) { panic("no source") }

// An answer that never ends holds up neither retry.
func TestEndlessRefusal(t *testing.T) {
	for name, challenge := range map[string]string{"nonce": `DPoP error="use_dpop_nonce"`, "token": invalid} {
		s := newRealm(t)
		var asked atomic.Int32
		api := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) > 1 {
				return
			}
			w.Header().Set("DPoP-Nonce", "n1")
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}))
		s.others = append(s.others, api.Certificate())
		client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) {
			if name == "nonce" {
				o.Key = newKey(t, "ES256")
			}
		})
		start := time.Now()
		resp, err := client.Do(request(t, "GET", api.URL, nil))
		if err != nil || resp.StatusCode != 200 || time.Since(start) > 5*time.Second {
			t.Errorf("%s: got %v, %v after %v, want 200 at once", name, resp, err, time.Since(start))
		}
		if err == nil {
			resp.Body.Close()
		}
	}
}
