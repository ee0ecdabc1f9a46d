package popclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A request that has ended before it begins asks Source for nothing.
func TestEndedRequestAsksNoSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		base := &spy{next: handlerBase{http.NotFound}}
		d := &popclient.DPoP{Key: newKey(t, "ES256"), Base: base, Source: source(func() (*oauth2.Token, error) {
			calls++
			return &oauth2.Token{AccessToken: "t", TokenType: "DPoP"}, nil
		})}
		want := errors.New("the user has left")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(want)
		resp, err := d.RoundTrip(request(t, "GET", "https://api.example.com/", nil).WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		synctest.Wait()
		if !errors.Is(err, want) || calls != 0 || len(base.sent) != 0 {
			t.Errorf("got %v after %d calls and %d requests, want %v after none", err, calls, len(base.sent), want)
		}
	})
}

// A proof without a token is for a token request, which may have used up what else it brings: it is the caller's to repeat.
func TestTokenRequestSentTwice(t *testing.T) {
	var asked atomic.Int32
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_dpop_proof"}`))
	}))
	defer as.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256"), Base: twice{transport}}}
	status, _ := do(t, client, request(t, "POST", as.URL+"?code=x", nil))
	if status != http.StatusBadRequest || asked.Load() != 2 {
		t.Errorf("got %d after %d requests, want 400 after the 2 that Base makes of one", status, asked.Load())
	}
}

// The Date of an answer says something about a proof only if the proof is what was refused.
func TestClockOfTokenErrors(t *testing.T) {
	for body, want := range map[string]int{
		`{"error":"invalid_dpop_proof"}`: 2, `{"error":"invalid_grant"}`: 1, `{"error":""}`: 1, `{}`: 1,
	} {
		as := popauthtest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}))
		base := &spy{next: as.Client().Transport}
		client := &http.Client{Transport: &popclient.Proofs{Key: newKey(t, "ES256"), Base: base}}
		status, got := do(t, client, request(t, "POST", as.URL, strings.NewReader("grant_type=client_credentials")))
		if status != http.StatusBadRequest || got != body || len(base.sent) != want {
			t.Errorf("%s: got %d, %s after %d requests, want %d", body, status, got, len(base.sent), want)
		}
	}
}

// The function Certificate may return at the very moment from which nobody waits for it: whichever comes first, the other
// changes nothing.
func TestCertificateAsItsTimeEnds(t *testing.T) {
	onStage(t, func(t *testing.T, s *stage) {
		s.dayLong()
		s.want(t, "t1", 1)
		s.certificate.hangs.Store(true) // until its context ends
		for range 50 {
			time.Sleep(time.Minute)
			s.want(t, "t1", 1)
		}
		s.certificate.hangs.Store(false)
		next := s.have(t)
		time.Sleep(time.Minute)
		for range 3 { // the answer is fetched beside a request, and then a token
			if status, err := s.get(t); status != 200 {
				t.Errorf("got %d, %v, want 200", status, err)
			}
			synctest.Wait()
		}
		s.presented(t, next)
	})
}
