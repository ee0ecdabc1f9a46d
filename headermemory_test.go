package popauth_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Headers are kept once a request has been let pass, and none before: nobody else's can put those out.
func TestHeadersKept(t *testing.T) {
	stranger := popauthtest.NewProofKey(t, "")
	for _, tt := range []struct {
		name   string
		change func(*dpopAPI, *http.Request)
		reason popauth.Reason
		token  bool
	}{
		{"token's signature", func(_ *dpopAPI, r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:100]+"A"+r.Header.Get("Authorization")[101:])
		}, "", false},
		{"token expired", func(a *dpopAPI, r *http.Request) {
			r.Header.Set("Authorization", "DPoP "+a.issuer.Token(a.key.Bound(), popauthtest.Claims{"exp": a.clock.Now().Add(-time.Hour).Unix()}))
		}, popauth.ErrTokenExpired, false},
		{"proof's signature", func(_ *dpopAPI, r *http.Request) {
			proof := r.Header.Get("DPoP")
			end := strings.LastIndexByte(proof, '.')
			r.Header.Set("DPoP", proof[:end+1]+strings.Repeat("A", len(proof)-end-1))
		}, popauth.ErrProofSignature, true},
		{"another key", func(a *dpopAPI, r *http.Request) {
			r.Header.Set("DPoP", stranger.Proof("GET", dpopURL, a.token))
		}, popauth.ErrProofKey, true},
		{"another target", func(a *dpopAPI, r *http.Request) {
			r.Header.Set("DPoP", a.key.Proof("POST", dpopURL, a.token))
		}, popauth.ErrProofTarget, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newDPoPAPI(t, dpop.Options{})
			stranger.Now = a.clock.Now
			r := a.request()
			tt.change(a, r)
			_, err := a.guard.Check(r)
			if err == nil || tt.reason != "" && !errors.Is(err, tt.reason) {
				t.Fatalf("got %v, want %v", err, tt.reason)
			}
			if token := popauth.KnownHeader(a.guard, r); token != tt.token {
				t.Errorf("refused, and kept: token's %t, want %t", token, tt.token)
			}
			a.accept(t, a.request())
			if !popauth.KnownHeader(a.guard, a.request()) {
				t.Error("let pass, and the token's not kept")
			}
		})
	}
}

// A header that is known says nothing about the rest, nor about another header.
func TestKnownHeaderProvesNothing(t *testing.T) {
	other := popauthtest.NewProofKey(t, "")
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		a := newDPoPAPI(t, dpop.Options{})
		a.key, other.Now = popauthtest.NewProofKey(t, alg), a.clock.Now
		a.key.Now = a.clock.Now
		a.token = a.issuer.Token(a.key.Bound())
		theirs := a.issuer.Token(other.Bound())
		for range 2 { // once unknown, then known
			a.accept(t, a.request())
			a.accept(t, other.Request("GET", dpopURL, theirs))
		}
		for proof, want := range map[string]popauth.Reason{
			withHeaderOf(a.request().Header.Get("DPoP"), other.Proof("GET", dpopURL, a.token)): popauth.ErrProofSignature,
			withHeaderOf(other.Proof("GET", dpopURL, a.token), a.request().Header.Get("DPoP")): popauth.ErrProofKey,
		} {
			a.refuseProof(t, a.with(proof), want)
		}
		for name, header := range map[string]popauthtest.Claims{
			"typ": {"typ": "JWT"}, "crit": {"crit": []string{"exp"}}, "private": {"jwk": jwkWith(a.key.JWK(), "d", "AQAB")},
		} {
			proof := a.key.ProofWith(header, "GET", dpopURL, a.token)
			if _, err := a.guard.Check(a.with(proof)); !errors.Is(err, popauth.ErrProofMalformed) {
				t.Errorf("VULNERABLE: %s, %s: got %v", alg, name, err)
			}
		}
		a.refuseProof(t, a.with(a.key.ProofWith(popauthtest.Claims{"alg": "ES384"}, "GET", dpopURL, a.token)), popauth.ErrProofAlgorithm)
	}
}

// withHeaderOf is b with the header of a.
func withHeaderOf(a, b string) string {
	header, _, _ := strings.Cut(a, ".")
	_, rest, _ := strings.Cut(b, ".")
	return header + "." + rest
}

func jwkWith(c popauthtest.Claims, name string, value any) popauthtest.Claims {
	c[name] = value
	return c
}

// What one DPoP accepts, another need not.
func TestKnownProofHeaderOfAnotherDPoP(t *testing.T) {
	x := newTokenRequests(t, dpop.Options{})
	for range 2 {
		if _, _, err := x.prove(x.proof()); err != nil {
			t.Fatal(err)
		}
	}
	x.dpop = proofs(dpop.Options{Replay: x.store, Algorithms: []string{"RS256"}})
	if _, _, err := x.prove(x.proof()); !errors.Is(err, popauth.ErrProofAlgorithm) {
		t.Errorf("VULNERABLE: got %v, want %v", err, popauth.ErrProofAlgorithm)
	}
}
