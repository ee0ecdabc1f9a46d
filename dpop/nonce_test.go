package dpop_test

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
	"github.com/seed-171ab058/popauth/internal/lab"
)

func TestNonce(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1))})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	if len(nonce) != 32 {
		t.Errorf("got %q, want 32 characters", nonce)
	}
	// A nonce may be used more than once, and none is given while it is fresh.
	for range 2 {
		if w := a.Accept(t, a.Request(lab.Fields{"nonce": nonce})); w.Header().Get("DPoP-Nonce") != "" {
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
			next := lab.Given(t, a.RefuseProof(t, a.Request(lab.Fields{"nonce": value}), popauth.ErrNonceRequired).Header())
			a.Accept(t, a.Request(lab.Fields{"nonce": next}))
		})
	}
	for _, value := range []any{1, nil, true, []string{nonce}} {
		w := a.RefuseProof(t, a.Request(lab.Fields{"nonce": value}), popauth.ErrProofMalformed)
		if w.Header().Get("DPoP-Nonce") != "" {
			t.Errorf("%v: got a nonce", value)
		}
	}
	// Nobody gets one who can't prove to hold a key.
	if w := a.RefuseProof(t, a.Request(lab.Fields{"htm": "PUT"}), popauth.ErrProofTarget); w.Header().Get("DPoP-Nonce") != "" {
		t.Error("got a nonce for a proof of something else")
	}
	// RFC 9449, section 11.3: having had one, a client can't go back to proofs without.
	a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired)
	a.RefuseProof(t, a.Request(lab.Fields{"nonce": ""}), popauth.ErrNonceRequired)
}

// The nonce comes in addition: the rest of the proof is still looked at.
func TestNonceReplacesNothing(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1))})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	for _, offset := range []int64{-3600, -71, 11, 3600} {
		a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "iat": a.Clock.Now().Unix() + offset}), popauth.ErrProofTime)
	}
	a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "ath": lab.Ath("x")}), popauth.ErrProofToken)
	r := a.Request(lab.Fields{"nonce": nonce})
	a.Accept(t, r)
	a.RefuseProof(t, r, popauth.ErrProofReplayed)
}

func TestNonceAge(t *testing.T) {
	for name, age := range map[string]time.Duration{"default": 5 * time.Minute, "own": time.Minute} {
		t.Run(name, func(t *testing.T) {
			source := lab.Nonces(lab.NonceSecret(1))
			if name == "own" {
				source.MaxAge = age
			}
			a := lab.NewDPoPAPI(t, dpop.Options{Nonces: &source})
			start := a.Clock.Now()
			at := func(d time.Duration) { a.Clock.Advance(start.Add(d).Sub(a.Clock.Now())) }
			nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
			for _, after := range []time.Duration{0, time.Second, age / 2} {
				at(after)
				if w := a.Accept(t, a.Request(lab.Fields{"nonce": nonce})); w.Header()["Dpop-Nonce"] != nil {
					t.Errorf("after %v: got %v", after, w.Header())
				}
			}
			// Half-way the client gets the next one, with the response, while the old one is good.
			for _, after := range []time.Duration{age/2 + time.Second, age} {
				at(after)
				next := lab.Given(t, a.Accept(t, a.Request(lab.Fields{"nonce": nonce})).Header())
				if next == nonce {
					t.Errorf("after %v: got the old one", after)
				}
				if w := a.Accept(t, a.Request(lab.Fields{"nonce": next})); w.Header()["Dpop-Nonce"] != nil {
					t.Errorf("after %v: got %v", after, w.Header())
				}
			}
			at(age + time.Second)
			next := lab.Given(t, a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce}), popauth.ErrNonceRequired).Header())
			a.Accept(t, a.Request(lab.Fields{"nonce": next}))
			// A process whose clock is behind.
			at(-30 * time.Second)
			a.Accept(t, a.Request(lab.Fields{"nonce": nonce}))
			at(-31 * time.Second)
			a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce}), popauth.ErrNonceRequired)
		})
	}
}

// A handler's own headers come after; several stages hand one nonce on.
func TestNonceOnEveryStage(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(lab.NonceSecret(1))})
	a.Handler = a.Guard.Authenticate(a.Guard.Confirm(a.Guard.Authorize(popauth.BoundBy("jkt"))(a.Spy)))
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	a.Clock.Advance(4 * time.Minute)
	lab.Given(t, a.Accept(t, a.Request(lab.Fields{"nonce": nonce})).Header())
	// Refused later than for the nonce, it is handed on all the same.
	w := a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce, "ath": lab.Ath("x")}), popauth.ErrProofToken)
	lab.Given(t, w.Header())
}

// Two processes that share a secret accept each other's nonces; a secret is changed without a gap.
func TestNonceSecretsChange(t *testing.T) {
	before, after := lab.NonceSecret(1), lab.NonceSecret(2)
	api := func(secrets ...[]byte) *lab.DPoPAPI {
		return lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(secrets...)})
	}
	nonceOf := func(a *lab.DPoPAPI) string {
		return lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	}
	// The order in which three deployments reach two processes, one of them always a step ahead.
	steps := [][][]byte{{before}, {before, after}, {after, before}, {after}}
	for i := range len(steps) - 1 {
		first, second := api(steps[i]...), api(steps[i+1]...)
		first.Accept(t, first.Request(lab.Fields{"nonce": nonceOf(second)}))
		second.Accept(t, second.Request(lab.Fields{"nonce": nonceOf(first)}))
	}
	a, b := api(before), api(after)
	a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonceOf(b)}), popauth.ErrNonceRequired)
}

func TestNonceOptional(t *testing.T) {
	source := lab.Nonces(lab.NonceSecret(1))
	asking := lab.NewDPoPAPI(t, dpop.Options{Nonces: source})
	nonce := lab.Given(t, asking.RefuseProof(t, asking.Request(), popauth.ErrNonceRequired).Header())
	source.Optional = true
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: source})
	if w := a.Accept(t, a.Request()); w.Header()["Dpop-Nonce"] != nil {
		t.Errorf("got %v, want no nonce for a client without", w.Header())
	}
	a.Accept(t, a.Request(lab.Fields{"nonce": nonce}))
	lab.Given(t, a.RefuseProof(t, a.Request(lab.Fields{"nonce": "garbage"}), popauth.ErrNonceRequired).Header())
	a.Clock.Advance(4 * time.Minute)
	lab.Given(t, a.Accept(t, a.Request(lab.Fields{"nonce": nonce})).Header())
	a.Clock.Advance(2 * time.Minute)
	lab.Given(t, a.RefuseProof(t, a.Request(lab.Fields{"nonce": nonce}), popauth.ErrNonceRequired).Header())
}

type nonceFunc func(nonce string) (bool, string, error)

func (f nonceFunc) Check(_ context.Context, nonce string, _ time.Time) (bool, string, error) {
	return f(nonce)
}

func TestNonceSourceOfYourOwn(t *testing.T) {
	var ok bool
	var next string
	var fails error
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: nonceFunc(func(string) (bool, string, error) { return ok, next, fails })})
	ok = true
	a.Accept(t, a.Request())
	next = "one"
	if got := lab.Given(t, a.Accept(t, a.Request()).Header()); got != next {
		t.Errorf("got %q", got)
	}
	ok = false
	a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired)
	next = "" // use_dpop_nonce without a nonce would make the client try again for ever
	a.RefuseProof(t, a.Request(), popauth.ErrProofMalformed)
	for _, unfit := range []string{"a b", `a"b`, `a\b`, "a\r\nSet-Cookie: a=b", "é", " "} {
		ok, next = true, unfit
		w := a.Refuse(t, a.Request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
		if w.Header().Get("DPoP-Nonce") != "" || w.Header().Get("Set-Cookie") != "" {
			t.Errorf("%q: got %v", unfit, w.Header())
		}
	}
	ok, next, fails = true, "one", errors.New("out of reach")
	a.Refuse(t, a.Request(), popauth.ErrUnavailable, http.StatusServiceUnavailable)
}

func TestNonceSecretsAreCopied(t *testing.T) {
	secret := lab.NonceSecret(1)
	a := lab.NewDPoPAPI(t, dpop.Options{Nonces: lab.Nonces(secret)})
	nonce := lab.Given(t, a.RefuseProof(t, a.Request(), popauth.ErrNonceRequired).Header())
	clear(secret)
	a.Accept(t, a.Request(lab.Fields{"nonce": nonce}))
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
	_, next, err := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), "", now)
	if ok, _, _ := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), next, now); !ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
	// Different in every second, and told by nobody who lacks the secret.
	_, later, _ := lab.Nonces(lab.NonceSecret(1)).Check(t.Context(), "", now.Add(time.Second))
	_, other, _ := lab.Nonces(lab.NonceSecret(2)).Check(t.Context(), "", now)
	if next == later || next[11:] == later[11:] || next[11:] == other[11:] {
		t.Errorf("got %q, %q and %q", next, later, other)
	}
}
