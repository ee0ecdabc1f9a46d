package dpop_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const orders = "https://api.example.com/orders"

// A proof's header is kept once the proof has been let pass, and before that none: nobody else's can put those out.
func TestProofHeadersKept(t *testing.T) {
	key, stranger := popauthtest.NewProofKey(t, ""), popauthtest.NewProofKey(t, "")
	const token = "token"
	for name, tt := range map[string]struct {
		proof  func() string
		reason popauth.Reason
	}{
		"signature": {func() string {
			proof := key.Proof("GET", orders, token)
			end := strings.LastIndexByte(proof, '.')
			return proof[:end+1] + strings.Repeat("A", len(proof)-end-1)
		}, popauth.ErrProofSignature},
		"another key":    {func() string { return stranger.Proof("GET", orders, token) }, popauth.ErrProofKey},
		"another target": {func() string { return key.Proof("POST", orders, token) }, popauth.ErrProofTarget},
		"another token":  {func() string { return key.Proof("GET", orders, "other") }, popauth.ErrProofToken},
		"good":           {func() string { return key.Proof("GET", orders, token) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
			if err != nil {
				t.Fatal(err)
			}
			r := key.Request("GET", orders, token)
			r.Header.Set("DPoP", tt.proof())
			p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: key.Thumbprint()}, Token: token}
			if err := c.Confirm(r, p); tt.reason == "" && err != nil || tt.reason != "" && !errors.Is(err, tt.reason) {
				t.Fatalf("got %v, want %v", err, tt.reason)
			}
			if kept := dpop.KnownHeader(c, r); kept != (tt.reason == "") {
				t.Errorf("kept: got %t", kept)
			}
		})
	}
}

// In a memory of its own a proof is remembered as long as this Confirmer takes it, in one that is given as long as any does.
func TestRememberByItself(t *testing.T) {
	memory, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for store, want := range map[dpop.ReplayStore]time.Duration{nil: 25 * time.Second, memory: 11 * time.Minute} {
		c, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com", Replay: store, MaxAge: 20 * time.Second,
			Leeway: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if got := dpop.Remembers(c); got != want {
			t.Errorf("Replay %T: got %v, want %v", store, got, want)
		}
	}
}

// The memory of its own goes by the clock of whoever asks, and by no other.
func TestOwnMemoryGoesByThePresentation(t *testing.T) {
	c, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	clock, key := popauthtest.NewClock(time.Unix(1_800_000_000, 0)), popauthtest.NewProofKey(t, "")
	key.Now = clock.Now
	r := key.Request("GET", orders, "token")
	p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: key.Thumbprint()}, Token: "token"}.WithNow(clock.Now)
	for _, want := range []error{nil, popauth.ErrProofReplayed} {
		if err := c.Confirm(r, p); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// Whoever makes no Confirmer by New has one that refuses.
func TestUnmadeConfirmer(t *testing.T) {
	key := popauthtest.NewProofKey(t, "")
	r := key.Request("GET", orders, "token")
	p := popauth.Presentation{Binding: popauth.Binding{Member: "jkt", Value: key.Thumbprint()}, Token: "token"}
	for name, c := range map[string]*dpop.Confirmer{"nil": nil, "zero": {}} {
		if err := c.Confirm(r, p); !errors.Is(err, popauth.ErrUnconfigured) {
			t.Errorf("%s: Confirm: got %v", name, err)
		}
		if jkt, err := c.ProveKey(http.Header{}, r, time.Now()); jkt != "" || !errors.Is(err, popauth.ErrUnconfigured) {
			t.Errorf("%s: ProveKey: got %q, %v", name, jkt, err)
		}
		if c.HoldsFor(c, r, r) {
			t.Errorf("%s: it holds for a request", name)
		}
	}
}

func TestNeedsNonces(t *testing.T) {
	var none *dpop.Confirmer
	for name, tt := range map[string]struct {
		c    *dpop.Confirmer
		want bool
	}{
		"nil": {none, false}, "without": {lab.Proofs(dpop.Options{}), false},
		"with": {lab.Proofs(dpop.Options{Nonces: dpop.StatelessNonces{Secrets: [][]byte{make([]byte, 32)}}}), true},
	} {
		if got := tt.c.NeedsNonces(); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}
