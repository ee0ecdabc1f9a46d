package dpop_test

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
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestReplay(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := a.Request()
	a.Accept(t, r)
	a.RefuseProof(t, r, popauth.ErrProofReplayed)

	other := popauthtest.NewProofKey(t, "")
	other.Now = a.Clock.Now
	token := a.Issuer.Token(other.Bound())
	a.Accept(t, a.Request(lab.Fields{"jti": "one"}))
	a.RefuseProof(t, a.Request(lab.Fields{"jti": "one"}), popauth.ErrProofReplayed) // another proof, the same jti
	a.Accept(t, other.Request("GET", lab.DPoPURL, token, lab.Fields{"jti": "one"})) // nobody can use up another's jti
	a.Accept(t, a.Key.Request("GET", lab.DPoPURL+"/1", a.Token, lab.Fields{"jti": "one"}))
	a.RefuseProof(t, a.Key.Request("GET", lab.DPoPURL+"/1?a=b", a.Token, lab.Fields{"jti": "one"}), popauth.ErrProofReplayed)
	a.RefuseProof(t, a.Key.Request("PUT", lab.DPoPURL+"/1", a.Token, lab.Fields{"jti": "one"}), popauth.ErrProofReplayed)
	// Where the jti ends and the URI begins is told apart.
	a.Accept(t, a.Key.Request("GET", "https://api.example.com/https:orders", a.Token, lab.Fields{"jti": "two"}))
	a.Accept(t, a.Key.Request("GET", "https://api.example.com/orders", a.Token,
		lab.Fields{"jti": "twohttps://api.example.com/https:orders"}))
}

// What is kept doesn't show what a client chose, and is kept past the last moment at which the proof could pass with
// anybody who may share the store, or as long as those have agreed on.
func TestReplayEntry(t *testing.T) {
	for remember, want := range map[time.Duration]time.Duration{
		0: 11*time.Minute + time.Second, 45 * time.Second: 46 * time.Second, time.Minute: 61 * time.Second,
		11 * time.Minute: 661 * time.Second,
	} {
		a := lab.NewDPoPAPI(t, dpop.Options{MaxAge: 40 * time.Second, Leeway: 5 * time.Second, Remember: remember})
		testReplayEntry(t, a, want)
	}
}

func testReplayEntry(t *testing.T, a *lab.DPoPAPI, life time.Duration) {
	t.Helper()
	for _, offset := range []time.Duration{-45 * time.Second, 0, 5 * time.Second} {
		clear(a.Store.Until)
		issued := a.Clock.Now().Add(offset)
		a.Accept(t, a.Request(lab.Fields{"iat": float64(issued.Unix()) + 0.9}))
		for id, until := range a.Store.Until {
			want := a.Clock.Now().Add(max(0, offset) + life) // an older one as long as one of now
			if len(id) != 43 || !until.Equal(want) {
				t.Errorf("got %q until %v, want 43 characters until %v", id, until, want)
			}
		}
		if a.Store.Len() != 1 {
			t.Errorf("got %d entries, want 1", a.Store.Len())
		}
	}
}

// A proof from the future, repeated at the last moment at which its time still fits.
func TestReplayAtTheEdges(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	now := a.Clock.Now()
	replay, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: a.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	a = lab.NewDPoPAPI(t, dpop.Options{Replay: replay})
	for _, offset := range []time.Duration{0, 10 * time.Second, -time.Minute} {
		r := a.Request(lab.Fields{"iat": now.Add(offset).Unix()})
		a.Accept(t, r)
		a.Clock.Advance(offset + 70*time.Second)
		a.RefuseProof(t, r, popauth.ErrProofReplayed)
		a.Clock.Advance(time.Second)
		a.RefuseProof(t, r, popauth.ErrProofTime)
		a.Clock.Advance(-a.Clock.Now().Sub(now))
	}
}

// Each Guard without a store has one of its own, in the memory of the process.
func TestReplayByDefault(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{})} })
	for range 2 {
		r := a.Request()
		a.Accept(t, r)
		a.RefuseProof(t, r, popauth.ErrProofReplayed)
	}
	a = lab.NewDPoPAPI(t, dpop.Options{}, func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{})} })
	r := a.Request()
	a.Accept(t, r)
	a.RefuseProof(t, r, popauth.ErrProofReplayed)
}

func TestReplayStoreFails(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for _, err := range []error{errors.New("connection refused"), context.DeadlineExceeded, popauth.ErrProofReplayed, retryAfter{}} {
		a.Store.Err = err
		w := a.Refuse(t, a.Request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
		if !errors.Is(a.Last, err) {
			t.Errorf("got %v, want %v in it", a.Last, err)
		}
		want := "5"
		if errors.Is(err, retryAfter{}) {
			want = "7"
		}
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("Retry-After: got %q, want %q", got, want)
		}
	}
	a.Store.Err = nil
	a.Accept(t, a.Request())
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
			a := lab.NewDPoPAPI(t, dpop.Options{}, func(options *popauth.Options) {
				*options = popauth.Options{Verifier: o, Confirmers: []popauth.Confirmer{lab.Proofs(dpop.Options{Replay: store})},
					Now: options.Now}
			})
			o.jkt, a.Token = a.Key.Thumbprint(), o.token
			r := a.Request()
			var passed, refused atomic.Int64
			var wg sync.WaitGroup
			start := make(chan struct{})
			for range 10_000 {
				wg.Go(func() {
					<-start
					w := httptest.NewRecorder()
					a.Handler.ServeHTTP(w, r.Clone(context.Background()))
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
			if passed.Load() != 1 || refused.Load() != 9999 || a.Spy.Ran() != 1 {
				t.Errorf("VULNERABLE: %d passed, %d were refused, the handler ran %d times", passed.Load(), refused.Load(), a.Spy.Ran())
			}
		})
	}
}

// A thief who sends on what he has seen, be it changed, doesn't spoil the proof for its owner.
func TestRefusedProofIsNotUsedUp(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	r := a.Request()
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Method = "PUT" },
		func(r *http.Request) { r.RequestURI = "/admin" },
		func(r *http.Request) { r.Host = "evil.example.com" },
		func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) },
		func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+a.Issuer.Token(a.Key.Bound())) },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.Token) },
		func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+a.Token+"x") },
	} {
		stolen := r.Clone(r.Context())
		change(stolen)
		if w := a.Serve(stolen); w.Code < 400 || a.Store.Len() != 0 {
			t.Errorf("got %d, store has %d", w.Code, a.Store.Len())
		}
	}
	a.Accept(t, r)
}
