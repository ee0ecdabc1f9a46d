package dpop_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// sharing are Guards with other settings that share a store.
type sharing struct {
	*lab.DPoPAPI
	guards []*popauth.Guard
}

func newSharing(t *testing.T, store func(now func() time.Time) dpop.ReplayStore, all ...dpop.Options) *sharing {
	t.Helper()
	a := lab.NewDPoPAPI(t, dpop.Options{})
	shared := store(a.Clock.Now)
	s := &sharing{DPoPAPI: a}
	for _, d := range all {
		d.Replay = shared
		o := a.Issuer.Options()
		o.Now, o.Confirmers = a.Clock.Now, []popauth.Confirmer{lab.Proofs(d)}
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s.guards = append(s.guards, g)
	}
	// A token that outlives everything here.
	now := a.Clock.Now()
	a.Token = a.Issuer.Token(a.Key.Bound(), lab.Fields{"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix()})
	return s
}

func (s *sharing) ask(guard int, r *http.Request) int {
	s.Handler = s.guards[guard].Confirm(s.Spy)
	return s.Serve(r).Code
}

func inMemory(t *testing.T) func(now func() time.Time) dpop.ReplayStore {
	return func(now func() time.Time) dpop.ReplayStore {
		m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// A rollout changes MaxAge and Leeway. What an old instance has accepted the new one refuses, and the other way round,
// until neither would take it.
func TestRememberedForAllThatShare(t *testing.T) {
	short := dpop.Options{MaxAge: time.Second, Leeway: time.Millisecond}
	long := dpop.Options{MaxAge: 10 * time.Minute, Leeway: time.Minute}
	for _, offset := range []time.Duration{0, -time.Second, time.Minute, -10 * time.Minute} {
		for first := range 2 {
			s := newSharing(t, inMemory(t), short, long)
			r := s.Request(lab.Fields{"iat": s.Clock.Now().Add(offset).Unix()})
			if got := s.ask(first, r); got != 200 {
				continue // the short one has no use for it
			}
			for range 800 {
				if a, b := s.ask(0, r), s.ask(1, r); a != 401 || b != 401 {
					t.Fatalf("VULNERABLE: used at %d, iat %v, %v later: got %d and %d, want 401", first, offset,
						s.Clock.Now().Sub(time.Unix(1_800_000_000, 0)), a, b)
				}
				s.Clock.Advance(time.Second)
			}
			if got := s.Spy.Ran(); got != 1 {
				t.Errorf("the handler ran %d times, want once", got)
			}
		}
	}
}

// Whoever calls ProveKey or Confirm without a Guard shares by the same rule.
func TestRememberedWithoutGuard(t *testing.T) {
	x := lab.NewTokenRequests(t, dpop.Options{})
	for _, tt := range []struct {
		d    dpop.Options
		want time.Duration
	}{
		{dpop.Options{Replay: x.Store}, 661 * time.Second},
		{dpop.Options{Replay: x.Store, Remember: 2 * time.Minute}, 121 * time.Second},
	} {
		clear(x.Store.Until)
		x.Dpop = lab.Proofs(tt.d)
		if _, _, err := x.Prove(x.Proof()); err != nil {
			t.Fatal(err)
		}
		for _, until := range x.Store.Until {
			if got := until.Sub(x.Clock.Now()); got != tt.want {
				t.Errorf("%v: got %v, want %v", tt.d.Remember, got, tt.want)
			}
		}
	}
}

func TestRememberProofOptions(t *testing.T) {
	for _, tt := range []struct {
		d  dpop.Options
		ok bool
	}{
		{dpop.Options{Remember: -1}, false},
		{dpop.Options{Remember: 70*time.Second - 1}, false},
		{dpop.Options{Remember: 70 * time.Second}, true},
		{dpop.Options{Remember: 11 * time.Minute}, true},
		{dpop.Options{Remember: 11*time.Minute + 1}, false},
		{dpop.Options{Remember: 11 * time.Minute, MaxAge: 10 * time.Minute, Leeway: time.Minute}, true},
		{dpop.Options{Remember: 11*time.Minute - 1, MaxAge: 10 * time.Minute, Leeway: time.Minute}, false},
		{dpop.Options{Remember: 6 * time.Minute, Leeway: 5 * time.Minute}, true},
		{dpop.Options{Remember: 6*time.Minute - 1, Leeway: 5 * time.Minute}, false},
		{dpop.Options{Remember: 330 * time.Second, NonceTime: true, Nonces: lab.Nonces(lab.NonceSecret(1))}, true},
		{dpop.Options{Remember: 330*time.Second - 1, NonceTime: true, Nonces: lab.Nonces(lab.NonceSecret(1))}, false},
	} {
		for _, store := range []dpop.ReplayStore{nil, &onceStore{}} {
			tt.d.Replay, tt.d.BaseURL = store, "https://api.example.com"
			if _, err := dpop.New(tt.d); (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), "dpop: Options.Remember: ") {
				t.Errorf("%+v: got %v, want an error: %t", tt.d, err, !tt.ok)
			}
		}
	}
}

// names is a store that writes down what it is asked for.
type names map[string]bool

func (n names) Use(_ context.Context, key, id string, _ time.Time) (bool, error) {
	n[key+" "+id] = true
	return true, nil
}

// One proof has one name with all who share a store, whatever they are set to.
func TestReplayNamesAreEverywhereTheSame(t *testing.T) {
	seen := names{}
	s := newSharing(t, func(func() time.Time) dpop.ReplayStore { return seen },
		dpop.Options{}, dpop.Options{MaxAge: 10 * time.Minute, Leeway: time.Minute}, dpop.Options{Remember: 2 * time.Minute},
		dpop.Options{Algorithms: []string{"RS256", "ES256"}}, dpop.Options{BaseURL: "https://api.example.com"})
	r := s.Request()
	for i := range s.guards {
		if got := s.ask(i, r); got != 200 {
			t.Errorf("number %d: got %d, want 200", i, got)
		}
	}
	if len(seen) != 1 {
		t.Errorf("got %v, want one name", seen)
	}
	before := maps.Clone(seen)
	s.ask(0, s.Request())
	if len(seen) != len(before)+1 {
		t.Errorf("another proof: got %v", seen)
	}
}

// A Guard that takes another's place keeps what was used, if it is given the memory.
func TestReloadKeepsProofs(t *testing.T) {
	s := newSharing(t, inMemory(t), dpop.Options{}, dpop.Options{MaxAge: 5 * time.Minute})
	r := s.Request()
	for i, want := range []int{200, 401, 401} {
		if got := s.ask(min(i, 1), r); got != want {
			t.Errorf("request %d: got %d, want %d", i, got, want)
		}
	}
	// With memories of their own they don't, as the documentation says.
	for i := range 2 {
		o := s.Issuer.Options()
		o.Now, o.Confirmers = s.Clock.Now, []popauth.Confirmer{lab.Proofs(dpop.Options{})}
		g, err := popauth.New(o)
		if err != nil {
			t.Fatal(err)
		}
		s.guards[i] = g
		for _, want := range []int{200, 401} {
			if got := s.ask(i, r); got != want {
				t.Errorf("memory of its own, Guard %d: got %d, want %d", i, got, want)
			}
		}
	}
}
