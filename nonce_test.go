package popauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

func TestNonce(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{Nonces: nonces(nonceSecret(1))})
	nonce := given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
	if len(nonce) != 32 {
		t.Errorf("got %q, want 32 characters", nonce)
	}
	// A nonce may be used more than once, and none is given while it is fresh.
	for range 2 {
		if w := a.accept(t, a.request(fields{"nonce": nonce})); w.Header().Get("DPoP-Nonce") != "" {
			t.Errorf("got %v", w.Header())
		}
	}
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	flipped := func(i int) string {
		b := bytes.Clone(b)
		b[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	for name, value := range map[string]string{
		"empty": "", "blank": " ", "null": "null", "garbage": "garbage", "appended": nonce + "x", "appended line": nonce + "\n",
		"padded": nonce + "=", "cut": nonce[:31], "later": flipped(7), "earlier": flipped(6), "other proof": flipped(23),
		"zero time": base64.RawURLEncoding.EncodeToString(append(make([]byte, 8), b[8:]...)), "zeros": strings.Repeat("A", 32),
		"another": "eyJ7S_zG.eyJH0-Z.HX4w-7v",
	} {
		t.Run(name, func(t *testing.T) {
			next := given(t, a.refuseProof(t, a.request(fields{"nonce": value}), popauth.ErrNonceRequired).Header())
			a.accept(t, a.request(fields{"nonce": next}))
		})
	}
	for _, value := range []any{1, nil, true, []string{nonce}} {
		w := a.refuseProof(t, a.request(fields{"nonce": value}), popauth.ErrProofMalformed)
		if w.Header().Get("DPoP-Nonce") != "" {
			t.Errorf("%v: got a nonce", value)
		}
	}
	// Nobody gets one who can't prove to hold a key.
	if w := a.refuseProof(t, a.request(fields{"htm": "PUT"}), popauth.ErrProofTarget); w.Header().Get("DPoP-Nonce") != "" {
		t.Error("got a nonce for a proof of something else")
	}
	// RFC 9449, section 11.3: having had one, a client can't go back to proofs without.
	a.refuseProof(t, a.request(), popauth.ErrNonceRequired)
	a.refuseProof(t, a.request(fields{"nonce": ""}), popauth.ErrNonceRequired)
}

// The nonce comes in addition: the rest of the proof is still looked at.
func TestNonceReplacesNothing(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{Nonces: nonces(nonceSecret(1))})
	nonce := given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
	for _, offset := range []int64{-3600, -71, 11, 3600} {
		a.refuseProof(t, a.request(fields{"nonce": nonce, "iat": a.clock.Now().Unix() + offset}), popauth.ErrProofTime)
	}
	a.refuseProof(t, a.request(fields{"nonce": nonce, "ath": ath("x")}), popauth.ErrProofToken)
	r := a.request(fields{"nonce": nonce})
	a.accept(t, r)
	a.refuseProof(t, r, popauth.ErrProofReplayed)
}

func TestNonceAge(t *testing.T) {
	for name, age := range map[string]time.Duration{"default": 5 * time.Minute, "own": time.Minute} {
		t.Run(name, func(t *testing.T) {
			source := nonces(nonceSecret(1))
			if name == "own" {
				source.MaxAge = age
			}
			a := newDPoPAPI(t, dpop.Options{Nonces: &source})
			start := a.clock.Now()
			at := func(d time.Duration) { a.clock.Advance(start.Add(d).Sub(a.clock.Now())) }
			nonce := given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
			for _, after := range []time.Duration{0, time.Second, age / 2} {
				at(after)
				if w := a.accept(t, a.request(fields{"nonce": nonce})); w.Header()["Dpop-Nonce"] != nil {
					t.Errorf("after %v: got %v", after, w.Header())
				}
			}
			// Half-way the client gets the next one, with the response, while the old one is good.
			for _, after := range []time.Duration{age/2 + time.Second, age} {
				at(after)
				next := given(t, a.accept(t, a.request(fields{"nonce": nonce})).Header())
				if next == nonce {
					t.Errorf("after %v: got the old one", after)
				}
				if w := a.accept(t, a.request(fields{"nonce": next})); w.Header()["Dpop-Nonce"] != nil {
					t.Errorf("after %v: got %v", after, w.Header())
				}
			}
			at(age + time.Second)
			next := given(t, a.refuseProof(t, a.request(fields{"nonce": nonce}), popauth.ErrNonceRequired).Header())
			a.accept(t, a.request(fields{"nonce": next}))
			// A process whose clock is behind.
			at(-30 * time.Second)
			a.accept(t, a.request(fields{"nonce": nonce}))
			at(-31 * time.Second)
			a.refuseProof(t, a.request(fields{"nonce": nonce}), popauth.ErrNonceRequired)
		})
	}
}

// A handler's own headers come after; several stages hand one nonce on.
func TestNonceOnEveryStage(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{Nonces: nonces(nonceSecret(1))})
	a.handler = a.guard.Authenticate(a.guard.Confirm(a.guard.Authorize(popauth.BoundBy("jkt"))(a.spy)))
	nonce := given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
	a.clock.Advance(4 * time.Minute)
	given(t, a.accept(t, a.request(fields{"nonce": nonce})).Header())
	// Refused later than for the nonce, it is handed on all the same.
	w := a.refuseProof(t, a.request(fields{"nonce": nonce, "ath": ath("x")}), popauth.ErrProofToken)
	given(t, w.Header())
}

// Two processes that share a secret accept each other's nonces; a secret is changed without a gap.
func TestNonceSecretsChange(t *testing.T) {
	before, after := nonceSecret(1), nonceSecret(2)
	api := func(secrets ...[]byte) *dpopAPI {
		return newDPoPAPI(t, dpop.Options{Nonces: nonces(secrets...)})
	}
	nonceOf := func(a *dpopAPI) string {
		return given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
	}
	// The order in which three deployments reach two processes, one of them always a step ahead.
	steps := [][][]byte{{before}, {before, after}, {after, before}, {after}}
	for i := range len(steps) - 1 {
		first, second := api(steps[i]...), api(steps[i+1]...)
		first.accept(t, first.request(fields{"nonce": nonceOf(second)}))
		second.accept(t, second.request(fields{"nonce": nonceOf(first)}))
	}
	a, b := api(before), api(after)
	a.refuseProof(t, a.request(fields{"nonce": nonceOf(b)}), popauth.ErrNonceRequired)
}

func TestNonceOptional(t *testing.T) {
	source := nonces(nonceSecret(1))
	asking := newDPoPAPI(t, dpop.Options{Nonces: source})
	nonce := given(t, asking.refuseProof(t, asking.request(), popauth.ErrNonceRequired).Header())
	source.Optional = true
	a := newDPoPAPI(t, dpop.Options{Nonces: source})
	if w := a.accept(t, a.request()); w.Header()["Dpop-Nonce"] != nil {
		t.Errorf("got %v, want no nonce for a client without", w.Header())
	}
	a.accept(t, a.request(fields{"nonce": nonce}))
	given(t, a.refuseProof(t, a.request(fields{"nonce": "garbage"}), popauth.ErrNonceRequired).Header())
	a.clock.Advance(4 * time.Minute)
	given(t, a.accept(t, a.request(fields{"nonce": nonce})).Header())
	a.clock.Advance(2 * time.Minute)
	given(t, a.refuseProof(t, a.request(fields{"nonce": nonce}), popauth.ErrNonceRequired).Header())
}

type nonceFunc func(nonce string) (bool, string, error)

func (f nonceFunc) Check(_ context.Context, nonce string, _ time.Time) (bool, string, error) {
	return f(nonce)
}

func TestNonceSourceOfYourOwn(t *testing.T) {
	var ok bool
	var next string
	var fails error
	a := newDPoPAPI(t, dpop.Options{Nonces: nonceFunc(func(string) (bool, string, error) { return ok, next, fails })})
	ok = true
	a.accept(t, a.request())
	next = "one"
	if got := given(t, a.accept(t, a.request()).Header()); got != next {
		t.Errorf("got %q", got)
	}
	ok = false
	a.refuseProof(t, a.request(), popauth.ErrNonceRequired)
	next = "" // use_dpop_nonce without a nonce would make the client try again for ever
	a.refuseProof(t, a.request(), popauth.ErrProofMalformed)
	for _, unfit := range []string{"a b", `a"b`, `a\b`, "a\r\nSet-Cookie: a=b", "é", " "} {
		ok, next = true, unfit
		w := a.refuse(t, a.request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
		if w.Header().Get("DPoP-Nonce") != "" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: got %v", unfit, w.Header())
		}
	}
	ok, next, fails = true, "one", errors.New("out of reach")
	a.refuse(t, a.request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
}

func TestNonceSecretsAreCopied(t *testing.T) {
	secret := nonceSecret(1)
	a := newDPoPAPI(t, dpop.Options{Nonces: nonces(secret)})
	nonce := given(t, a.refuseProof(t, a.request(), popauth.ErrNonceRequired).Header())
	clear(secret)
	a.accept(t, a.request(fields{"nonce": nonce}))
}

// Used without a Guard, it holds to the same settings.
func TestStatelessNoncesAlone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	if ok, next, err := (dpop.StatelessNonces{}).Check(t.Context(), "", now); ok || next != "" || err == nil {
		t.Errorf("without a secret: got %v %q %v", ok, next, err)
	}
	if ok, next, err := (dpop.StatelessNonces{Optional: true}).Check(t.Context(), "", now); ok || next != "" || err == nil {
		t.Errorf("optional, without a secret: got %v %q %v", ok, next, err)
	}
	_, next, err := nonces(nonceSecret(1)).Check(t.Context(), "", now)
	if ok, _, _ := nonces(nonceSecret(1)).Check(t.Context(), next, now); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	// Different in every second, and told by nobody who lacks the secret.
	_, later, _ := nonces(nonceSecret(1)).Check(t.Context(), "", now.Add(time.Second))
	_, other, _ := nonces(nonceSecret(2)).Check(t.Context(), "", now)
	if next == later || next[11:] == later[11:] || next[11:] == other[11:] {
		t.Errorf("got %q, %q and %q", next, later, other)
	}
}
