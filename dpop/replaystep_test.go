package dpop_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// behindAnother is a ReplayStore of the program around another one.
type behindAnother struct{ dpop.ReplayStore }

func (b behindAnother) Use(ctx context.Context, key, id string, until time.Time) (bool, error) {
	return b.ReplayStore.Use(ctx, key, id, until)
}

// The wall clock is set back by seconds to minutes, after a time in which ids were forgotten. A thief has kept the proofs.
func TestUsedProofsAfterAStepBack(t *testing.T) {
	short, brief := longNonces(40*time.Second), longNonces(10*time.Second)
	brief.Optional = true // a proof without one may be older than any
	stores := map[string]func(t *testing.T) func(now func() time.Time) dpop.ReplayStore{
		"its own": func(*testing.T) func(now func() time.Time) dpop.ReplayStore {
			return func(func() time.Time) dpop.ReplayStore { return nil }
		},
		"given": inMemory,
		"behind another": func(t *testing.T) func(now func() time.Time) dpop.ReplayStore {
			return func(now func() time.Time) dpop.ReplayStore { return behindAnother{inMemory(t)(now)} }
		},
	}
	settings := map[string]dpop.Options{
		"by iat":                    {Remember: 70 * time.Second},
		"by nonce":                  {Remember: 70 * time.Second, Nonces: short, NonceTime: true},
		"by iat, nonces or nothing": {Remember: 70 * time.Second, Nonces: brief},
	}
	for store, memory := range stores {
		for setting, d := range settings {
			for _, step := range []time.Duration{time.Second, 3 * time.Second, 30 * time.Second, 70 * time.Second, time.Hour} {
				t.Run(store+" "+setting+" "+step.String(), func(t *testing.T) {
					s := newSharing(t, memory(t), d)
					next := func() *http.Request {
						if !d.NonceTime {
							return s.Request(lab.Fields{})
						}
						_, nonce, err := short.Check(t.Context(), "", s.Clock.Now())
						if err != nil {
							t.Fatal(err)
						}
						// its clock is behind
						return s.Request(lab.Fields{"nonce": nonce, "iat": s.Clock.Now().Add(-15 * time.Minute).Unix()})
					}
					var used []*http.Request
					for range 100 {
						for range 3 {
							r := next()
							if got := s.ask(0, r); got != 200 {
								t.Fatalf("got %d, want 200", got)
							}
							used = append(used, r)
						}
						s.Clock.Advance(time.Second)
					}
					s.Clock.Advance(-step)
					for i, r := range used {
						if got := s.ask(0, r); got == 200 {
							t.Fatalf("VULNERABLE: proof %d of %d was used again", i, len(used))
						}
					}
					// An owner's new proof isn't held back by a small step.
					if step <= 3*time.Second && store != "behind another" {
						if got := s.ask(0, next()); got != 200 {
							t.Errorf("a new proof: got %d, want 200", got)
						}
					}
				})
			}
		}
	}
}
