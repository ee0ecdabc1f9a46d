package popclient_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A token endpoint that wants to be left alone is, whatever certificate comes meanwhile; then the newest is the one.
func TestRetryAfterOutlastsCertificates(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		answer := s.answer
		s.answer = func(int) (int, string) { return http.StatusTooManyRequests, `{"error":"slow_down"}` }
		s.retryAfter = "300"
		start := time.Now()
		s.want(t, "", 1)
		for range 5 {
			s.have(t)
			time.Sleep(21 * time.Second)
			if _, err := s.get(t); err == nil || !strings.Contains(err.Error(), "isn't asked before 2000-01-01T00:05:00Z") ||
				!strings.Contains(err.Error(), "slow_down") {
				t.Errorf("got %v, want until when and why", err)
			}
		}
		s.want(t, "", 1)
		next := s.have(t)
		s.answer, s.retryAfter = answer, ""
		time.Sleep(5*time.Minute + time.Second - time.Since(start))
		s.want(t, "t2", 2)
		s.presented(t, next)
	})
}

// A refusal whose body doesn't come holds up the request that is sent again for no longer than a new connection would.
func TestRefusalWithoutItsBody(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		for _, encoding := range []string{"", "gzip"} {
			for _, challenge := range []string{`DPoP error="use_dpop_nonce"`, `DPoP error="invalid_token"`} {
				t.Run(protocol+" "+encoding+" "+challenge, func(t *testing.T) {
					t.Parallel()
					s := newRealm(t)
					var asked atomic.Int32
					ended := make(chan struct{})
					api := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if asked.Add(1) > 1 {
							return
						}
						if encoding != "" {
							w.Header().Set("Content-Encoding", encoding)
						}
						w.Header().Set("DPoP-Nonce", "n1")
						w.Header().Set("WWW-Authenticate", challenge)
						w.WriteHeader(http.StatusUnauthorized)
						_ = http.NewResponseController(w).Flush()
						<-r.Context().Done()
						close(ended)
					}), func(c *tls.Config) { c.NextProtos = []string{protocol} })
					s.others = append(s.others, api.Certificate())
					client := s.client(t, s.ca.Client("job"), func(o *popclient.MutualTLSOptions) { o.Key = newKey(t, "ES256") })
					client.Timeout = 10 * time.Second
					start := time.Now()
					if status, _ := do(t, client, request(t, "GET", api.URL, nil)); status != 200 || time.Since(start) > 5*time.Second {
						t.Errorf("got %d after %v, want 200 at once", status, time.Since(start))
					}
					select { // the first answer is given up
					case <-ended:
					case <-time.After(5 * time.Second):
						t.Error("the server still writes the refusal")
					}
				})
			}
		}
	}
}
