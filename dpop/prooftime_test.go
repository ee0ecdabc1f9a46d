package dpop_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
)

// longNonces are good for so long.
func longNonces(age time.Duration) dpop.StatelessNonces {
	n := lab.Nonces(lab.NonceSecret(1))
	n.MaxAge = age
	return n
}

// Whatever a client's clock shows, the nonce says when it has signed (RFC 9449, section 4.3, item 11).
func TestNonceTime(t *testing.T) {
	for _, believed := range []bool{true, false} {
		a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1)), NonceTime: believed})
		nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
		// at is the iat of a client whose clock is off by d.
		at := func(d time.Duration) int64 { return a.Clock.Now().Add(d).Unix() }
		for _, off := range []time.Duration{-15 * time.Minute, 15 * time.Minute, -50 * 365 * 24 * time.Hour, time.Hour} {
			r := a.Request(lab.Fields{"nonce": nonce, "iat": at(off)})
			if !believed {
				a.RefuseProof(t, r, popauth.ErrProofTime)
				continue
			}
			a.Accept(t, r)
			a.RefuseProof(t, r, popauth.ErrProofReplayed)
			a.RefuseProof(t, a.Request(lab.Fields{"iat": at(off)}), popauth.ErrNonceRequired)
			a.RefuseProof(t, a.Request(lab.Fields{"iat": at(off), "nonce": strings.Repeat("A", 32)}), popauth.ErrNonceRequired)
		}
		for _, off := range []time.Duration{time.Hour + time.Second, 20 * 365 * 24 * time.Hour} {
			a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "iat": at(off)}), popauth.ErrProofTime)
		}
		// A client's own bounds count by this clock.
		a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "exp": at(-11 * time.Second)}), popauth.ErrProofTime)
		a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "nbf": at(11 * time.Second)}), popauth.ErrProofTime)

		// A proof that was made ahead is good as long as its nonce.
		ahead := a.Request(lab.Fields{"nonce": nonce, "iat": at(5 * time.Minute)})
		late := a.Request(lab.Fields{"nonce": nonce, "iat": at(5*time.Minute + time.Second)})
		a.Clock.Advance(5 * time.Minute)
		a.Accept(t, ahead)
		a.Clock.Advance(time.Second)
		a.RefuseProof(t, late, popauth.ErrNonceRequired)
	}
}

// A used proof stays used with everybody who shares the store, whether it goes by iat or by the nonce, and whoever has
// accepted it first: a rollout that begins to ask for nonces, and to believe them, lets none pass twice.
func TestNonceTimeIsRemembered(t *testing.T) {
	all := map[string]dpop.Options{
		"nonce":              {NonceTime: true, Nonces: lab.Nonces(lab.NonceSecret(1))},
		"longest nonce":      {NonceTime: true, Nonces: longNonces(10 * time.Minute)},
		"oldest iat":         {MaxAge: 10 * time.Minute, Leeway: time.Minute},
		"earliest iat":       {MaxAge: 6 * time.Minute, Leeway: 5 * time.Minute},
		"iat, beside nonces": {MaxAge: 10 * time.Minute, Leeway: time.Minute, Nonces: longNonces(time.Hour)},
		"iat, nonces or nothing": {MaxAge: 10 * time.Minute,
			Nonces: dpop.StatelessNonces{Secrets: [][]byte{lab.NonceSecret(1)}, Optional: true}},
	}
	for first := range all {
		for _, off := range []time.Duration{0, -15 * time.Minute, 15 * time.Minute, -660 * time.Second, 300 * time.Second, time.Hour,
			-100 * time.Hour} {
			t.Run(fmt.Sprint(first, "/", off), func(t *testing.T) {
				var names []string
				guards := []dpop.Options{}
				for name, d := range all {
					names, guards = append(names, name), append(guards, d)
				}
				s := newSharing(t, inMemory(t), guards...)
				_, nonce, err := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), "", s.Clock.Now())
				if err != nil {
					t.Fatal(err)
				}
				r := s.Request(lab.Fields{"nonce": nonce, "iat": s.Clock.Now().Add(off).Unix()})
				for i, name := range names {
					if name == first && s.ask(i, r) != 200 {
						return // it has no use for that
					}
				}
				began := s.Clock.Now()
				for s.Clock.Now().Sub(began) < 75*time.Minute {
					for i, name := range names {
						if got := s.ask(i, r); got != 401 {
							t.Fatalf("VULNERABLE: %s, %v later: got %d, want 401", name, s.Clock.Now().Sub(began), got)
						}
					}
					s.Clock.Advance(37 * time.Second)
				}
				if got := s.Spy.Ran(); got != 1 {
					t.Errorf("the handler ran %d times, want once", got)
				}
			})
		}
	}
}

// So in a memory of its own, which keeps ids as long as this Guard needs them.
func TestNonceTimeInAMemoryOfItsOwn(t *testing.T) {
	for _, age := range []time.Duration{10 * time.Second, 5 * time.Minute, 10 * time.Minute} {
		for _, off := range []time.Duration{0, -15 * time.Minute, 15 * time.Minute} {
			for _, ahead := range []time.Duration{0, 30 * time.Second} { // of the clock that has made the nonce
				s := newSharing(t, func(func() time.Time) dpop.ReplayStore { return nil },
					dpop.Options{NonceTime: true, Nonces: longNonces(age)})
				_, nonce, err := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), "", s.Clock.Now().Add(ahead))
				if err != nil {
					t.Fatal(err)
				}
				r := s.Request(lab.Fields{"nonce": nonce, "iat": s.Clock.Now().Add(off).Unix()})
				if got := s.ask(0, r); got != 200 {
					t.Fatalf("got %d, want 200", got)
				}
				for range 700 {
					if got := s.ask(0, r); got != 401 {
						t.Fatalf("VULNERABLE: nonces of %v, clock off by %v: got %d, want 401", age, off, got)
					}
					s.Clock.Advance(time.Second)
				}
			}
		}
	}
}

func TestNonceTimeOptions(t *testing.T) {
	secret := [][]byte{lab.NonceSecret(1)}
	for want, d := range map[string]dpop.Options{
		"dpop: Options.NonceTime: Nonces is <nil>, not StatelessNonces": {NonceTime: true},
		"dpop: Options.NonceTime: Nonces is dpop_test.nonceFunc, not":   {NonceTime: true, Nonces: nonceFunc(nil)},
		"dpop: Options.NonceTime: StatelessNonces.Optional is set": {NonceTime: true,
			Nonces: dpop.StatelessNonces{Secrets: secret, Optional: true}},
		"dpop: Options.NonceTime: StatelessNonces.MaxAge, 10m0.000000001s, is": {NonceTime: true, Nonces: longNonces(10*time.Minute + 1)},
		"dpop: Options.Remember: 5m0s is not between 5m30s, StatelessNonces": {NonceTime: true, Nonces: lab.Nonces(lab.NonceSecret(1)),
			Remember: 5 * time.Minute},
		"": {NonceTime: true, Nonces: &dpop.StatelessNonces{Secrets: secret}},
	} {
		d.BaseURL = "https://api.example.com"
		if _, err := dpop.New(d); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// The Model Context Protocol asks servers for five minutes, in either direction.
func TestLeewayOfFiveMinutes(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Leeway: 5 * time.Minute})
	for off, ok := range map[time.Duration]bool{
		-6 * time.Minute: true, -361 * time.Second: false, 5 * time.Minute: true, 301 * time.Second: false,
	} {
		r := a.Request(lab.Fields{"iat": a.Clock.Now().Add(off).Unix()})
		if ok {
			a.Accept(t, r)
		} else {
			a.RefuseProof(t, r, popauth.ErrProofTime)
		}
	}
}

// The log says how far the clocks are apart, and what to change.
func TestProofTimeIsExplained(t *testing.T) {
	plain := lab.NewDPoPAPI(t, dpop.Options{})
	for _, tt := range []struct {
		claim string
		off   time.Duration
		want  string
	}{
		{"iat", 15 * time.Minute, "iat is 15m0s ahead of this clock, more than dpop.Options.Leeway, 10s: see dpop.Options.NonceTime"},
		{"iat", -15 * time.Minute, "iat is 15m0s ago, more than dpop.Options.MaxAge and Leeway, 1m10s: see dpop.Options.NonceTime"},
		{"exp", -time.Minute, "exp was 1m0s ago, not less than dpop.Options.Leeway, 10s"},
		{"nbf", time.Minute, "nbf is 1m0s ahead of this clock, more than dpop.Options.Leeway, 10s"},
	} {
		plain.RefuseProof(t, plain.Request(lab.Fields{tt.claim: plain.Clock.Now().Add(tt.off).Unix()}), popauth.ErrProofTime)
		if !strings.Contains(plain.Last.Error(), tt.want) {
			t.Errorf("got %v, want %s", plain.Last, tt.want)
		}
	}
	a := lab.NewDPoPAPI(t, dpop.Options{NonceTime: true, Nonces: lab.Nonces(lab.NonceSecret(1))})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "iat": a.Clock.Now().Add(2 * time.Hour).Unix()}), popauth.ErrProofTime)
	want := "iat is 2h0m0s ahead of this clock, more than 1h0m0s, the most that dpop.Options.NonceTime allows"
	if !strings.Contains(a.Last.Error(), want) {
		t.Errorf("got %v, want %s", a.Last, want)
	}
}

// What docs/clocks.md says of the room that a client takes whose clock is ahead: its id counts against PerKey for so long.
func TestNonceTimeAheadHoldsItsPlace(t *testing.T) {
	for _, tt := range []struct{ off, remember, kept time.Duration }{
		{off: 0, remember: 330 * time.Second, kept: 331 * time.Second},
		{off: time.Hour, remember: 330 * time.Second, kept: 3931 * time.Second},
		{off: 0, kept: 661 * time.Second},
		{off: time.Hour, kept: 4261 * time.Second},
	} {
		s := newSharing(t, func(now func() time.Time) dpop.ReplayStore {
			m, err := dpop.NewReplayMemory(dpop.ReplayMemoryOptions{Now: now, PerKey: 1})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, dpop.Options{NonceTime: true, Remember: tt.remember, Nonces: lab.Nonces(lab.NonceSecret(1))})
		ask := func() int {
			_, nonce, _ := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), "", s.Clock.Now())
			return s.ask(0, s.Request(lab.Fields{"nonce": nonce, "iat": s.Clock.Now().Add(tt.off).Unix()}))
		}
		first := ask()
		s.Clock.Advance(tt.kept - time.Second)
		before := ask()
		s.Clock.Advance(2 * time.Second)
		if after := ask(); first != 200 || before != 429 || after != 200 {
			t.Errorf("%v ahead, Remember %v: got %d, and %d and %d around %v, want 200, 429, 200",
				tt.off, tt.remember, first, before, after, tt.kept)
		}
	}
}
