package popauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestReplay(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	r := a.request()
	a.accept(t, r)
	a.refuseProof(t, r, popauth.ErrProofReplayed)

	other := popauthtest.NewProofKey(t, "")
	other.Now = a.clock.Now
	token := a.issuer.Token(other.Bound())
	a.accept(t, a.request(fields{"jti": "one"}))
	a.refuseProof(t, a.request(fields{"jti": "one"}), popauth.ErrProofReplayed) // another proof, the same jti
	a.accept(t, other.Request("GET", dpopURL, token, fields{"jti": "one"}))     // nobody can use up another's jti
	a.accept(t, a.key.Request("GET", dpopURL+"/1", a.token, fields{"jti": "one"}))
	a.refuseProof(t, a.key.Request("GET", dpopURL+"/1?a=b", a.token, fields{"jti": "one"}), popauth.ErrProofReplayed)
	a.refuseProof(t, a.key.Request("PUT", dpopURL+"/1", a.token, fields{"jti": "one"}), popauth.ErrProofReplayed)
	// Where the jti ends and the URI begins is told apart.
	a.accept(t, a.key.Request("GET", "https://api.example.com/https:orders", a.token, fields{"jti": "two"}))
	a.accept(t, a.key.Request("GET", "https://api.example.com/orders", a.token, fields{"jti": "twohttps://api.example.com/https:orders"}))
}

// What is kept doesn't show what a client chose, and is kept past the last moment at which the proof could pass with
// anybody who may share the store, or as long as those have agreed on.
func TestReplayEntry(t *testing.T) {
	for remember, want := range map[time.Duration]time.Duration{
		0: 11*time.Minute + time.Second, 45 * time.Second: 46 * time.Second, time.Minute: 61 * time.Second, 11 * time.Minute: 661 * time.Second,
	} {
		a := newDPoPAPI(t, dpop.Options{MaxAge: 40 * time.Second, Leeway: 5 * time.Second, Remember: remember})
		testReplayEntry(t, a, want)
	}
}

func testReplayEntry(t *testing.T, a *dpopAPI, life time.Duration) {
	t.Helper()
	for _, offset := range []time.Duration{-45 * time.Second, 0, 5 * time.Second} {
		clear(a.store.until)
		issued := a.clock.Now().Add(offset)
		a.accept(t, a.request(fields{"iat": float64(issued.Unix()) + 0.9}))
		for id, until := range a.store.until {
			want := a.clock.Now().Add(max(0, offset) + life) // an older one as long as one of now
			if len(id) != 43 || !until.Equal(want) {
				t.Errorf("got %q until %v, want 43 characters until %v", id, until, want)
			}
		}
		if a.store.len() != 1 {
			t.Errorf("got %d entries, want 1", a.store.len())
		}
	}
}

// A proof from the future, repeated at the last moment at which its time still fits.
func TestReplayAtTheEdges(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	now := a.clock.Now()
	replay, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: a.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	a = newDPoPAPI(t, dpop.Options{Replay: replay})
	for _, offset := range []time.Duration{0, 10 * time.Second, -time.Minute} {
		r := a.request(fields{"iat": now.Add(offset).Unix()})
		a.accept(t, r)
		a.clock.Advance(offset + 70*time.Second)
		a.refuseProof(t, r, popauth.ErrProofReplayed)
		a.clock.Advance(time.Second)
		a.refuseProof(t, r, popauth.ErrProofTime)
		a.clock.Advance(-a.clock.Now().Sub(now))
	}
}

// Each Guard without a store has one of its own, in the memory of the process.
func TestReplayByDefault(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{proofs(dpop.Options{})} })
	for range 2 {
		r := a.request()
		a.accept(t, r)
		a.refuseProof(t, r, popauth.ErrProofReplayed)
	}
	a = newDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{proofs(dpop.Options{})} })
	r := a.request()
	a.accept(t, r)
	a.refuseProof(t, r, popauth.ErrProofReplayed)
}

func TestReplayStoreFails(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	for _, err := range []error{errors.New("connection refused"), context.DeadlineExceeded, popauth.ErrProofReplayed, retryAfter{}} {
		a.store.err = err
		w := a.refuse(t, a.request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
		if !errors.Is(a.last, err) {
			t.Errorf("got %v, want %v in it", a.last, err)
		}
		want := "5"
		if errors.Is(err, retryAfter{}) {
			want = "7"
		}
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("Retry-After: got %q, want %q", got, want)
		}
	}
	a.store.err = nil
	a.accept(t, a.request())
}

type retryAfter struct{}

func (retryAfter) Error() string             { return "full" }
func (retryAfter) RetryAfter() time.Duration { return 7 * time.Second }

// onceStore is the smallest store that is atomic.
type onceStore struct{ used sync.Map }

func (s *onceStore) Use(_ context.Context, _, id string, _ time.Time) (bool, error) {
	_, used := s.used.LoadOrStore(id, true)
	return !used, nil
}

// Ten thousand requests with one proof: one passes.
func TestReplayAtOnce(t *testing.T) {
	for name, store := range map[string]dpop.ReplayStore{"own": &onceStore{}, "default": nil} {
		t.Run(name, func(t *testing.T) {
			o := &opaque{token: "t"}
			a := newDPoPAPI(t, dpop.Options{}, func(options *popauth.Options) {
				*options = popauth.Options{Verifier: o, Confirmers: []popauth.Confirmer{proofs(dpop.Options{Replay: store})}, Now: options.Now}
			})
			o.jkt, a.token = a.key.Thumbprint(), o.token
			r := a.request()
			var passed, refused atomic.Int64
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 10_000 {
				wg.Go(func() {
					<-start
					w := httptest.NewRecorder()
					a.handler.ServeHTTP(w, r.Clone(context.Background()))
					switch w.Code {
					case http.StatusOK:
						passed.Add(1)
					case http.StatusUnauthorized:
						refused.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
			if passed.Load() != 1 || refused.Load() != 9999 || a.spy.Ran() != 1 {
				t.Errorf("VULNERABLE: %d passed, %d were refused, the handler ran %d times", passed.Load(), refused.Load(), a.spy.Ran())
			}
		})
	}
}

// A thief who sends on what he has seen, be it changed, doesn't spoil the proof for its owner.
func TestRefusedProofIsNotUsedUp(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	r := a.request()
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Method = "PUT" },
		func(r *http.Request) { r.RequestURI = "/admin" },
		func(r *http.Request) { r.Host = "evil.example.com" },
		func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) },
		func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+a.issuer.Token(a.key.Bound())) },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.token) },
		func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+a.token+"x") },
	} {
		stolen := r.Clone(r.Context())
		change(stolen)
		if w := a.serve(stolen); w.Code < 400 || a.store.len() != 0 {
			t.Errorf("got %d, store has %d", w.Code, a.store.len())
		}
	}
	a.accept(t, r)
}
