package refusals_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
)

// part is a Verifier of somebody else's that needs something first.
type part struct {
	popauth.Verifier
	asked atomic.Int64
	ready bool
	load  func(context.Context) error
}

func (p *part) Ready() bool {
	p.asked.Add(1)
	return p.ready
}

func (p *part) Load(ctx context.Context) error { return p.load(ctx) }

// parts is a Verifier that has others decide.
type parts struct {
	popauth.Verifier
	all []popauth.Verifier
}

func (p parts) Verifiers() []popauth.Verifier { return p.all }

// preloading is a Guard whose Verifier has others decide.
func preloading(t *testing.T, all ...popauth.Verifier) *popauth.Guard {
	t.Helper()
	g, err := popauth.New(popauth.Options{Verifier: parts{all: []popauth.Verifier{parts{all: all}}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A Guard is ready when all parts are, at whatever depth, and asking makes each of them begin.
func TestReadyOfParts(t *testing.T) {
	first, second := &part{}, &part{ready: true}
	g := preloading(t, first, second)
	if g.Ready() || first.asked.Load() != 1 || second.asked.Load() != 1 {
		t.Errorf("ready, or asked %d and %d times, want once each", first.asked.Load(), second.asked.Load())
	}
	if g := preloading(t, second, first); g.Ready() || first.asked.Load() != 2 || second.asked.Load() != 2 {
		t.Errorf("ready, or asked %d and %d times, want twice each", first.asked.Load(), second.asked.Load())
	}
	first.ready = true
	if !g.Ready() {
		t.Error("not ready, though all parts are")
	}
	if g := preloading(t, parts{}); !g.Ready() || g.Preload(t.Context()) != nil {
		t.Error("not ready, though it needs nothing")
	}
	zero := new(popauth.Guard)
	if err := zero.Preload(t.Context()); zero.Ready() || !errors.Is(err, popauth.ErrUnconfigured) {
		t.Errorf("zero Guard: got %v, ready %t", err, zero.Ready())
	}
}

// Preload waits for all parts side by side, so that one that hangs takes no time from the others, and reports each that fails.
func TestPreloadOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hangs := &part{load: func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("hangs")
		}}
		slow := &part{load: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return errors.New("had no time")
			case <-time.After(time.Second / 2):
				return nil
			}
		}}
		wrong := &part{load: func(context.Context) error { return errors.New("another issuer") }}
		err := preloading(t, hangs, slow, wrong).Preload(ctx)
		if err == nil || err.Error() != "hangs\nanother issuer" {
			t.Errorf("got %q, want what each of two says", err)
		}
		if err := preloading(t, slow).Preload(t.Context()); err != nil {
			t.Errorf("got %v", err)
		}
	})
}
