package popauth_test

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

// Headers are kept once a request has been let pass, and none before: nobody else's can put those out.
func TestHeadersKept(t *testing.T) {
	stranger := popauthtest.NewProofKey(t, "")
	for _, tt := range []struct {
		name   string
		change func(*lab.DPoPAPI, *http.Request)
		reason popauth.Reason
		token  bool
	}{
		{"token's signature", func(_ *lab.DPoPAPI, r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:100]+"A"+r.Header.Get("Authorization")[101:])
		}, "", false},
		{"token expired", func(a *lab.DPoPAPI, r *http.Request) {
			r.Header.Set("Authorization", "DPoP "+
				a.Issuer.Token(a.Key.Bound(), popauthtest.Claims{"exp": a.Clock.Now().Add(-time.Hour).Unix()}))
		}, popauth.ErrTokenExpired, false},
		{"proof's signature", func(_ *lab.DPoPAPI, r *http.Request) {
			proof := r.Header.Get("DPoP")
			end := strings.LastIndexByte(proof, '.')
			r.Header.Set("DPoP", proof[:end+1]+strings.Repeat("A", len(proof)-end-1))
		}, popauth.ErrProofSignature, true},
		{"another key", func(a *lab.DPoPAPI, r *http.Request) {
			r.Header.Set("DPoP", stranger.Proof("GET", lab.DPoPURL, a.Token))
		}, popauth.ErrProofKey, true},
		{"another target", func(a *lab.DPoPAPI, r *http.Request) {
			r.Header.Set("DPoP", a.Key.Proof("POST", lab.DPoPURL, a.Token))
		}, popauth.ErrProofTarget, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := lab.NewDPoPAPI(t, dpop.Options{})
			stranger.Now = a.Clock.Now
			r := a.Request()
			tt.change(a, r)
			_, err := a.Guard.Check(r)
			if err == nil || tt.reason != "" && !errors.Is(err, tt.reason) {
				t.Fatalf("got %v, want %v", err, tt.reason)
			}
			if token := popauth.KnownHeader(a.Guard, r); token != tt.token {
				t.Errorf("refused, and kept: token's %t, want %t", token, tt.token)
			}
			a.Accept(t, a.Request())
			if !popauth.KnownHeader(a.Guard, a.Request()) {
				t.Error("let pass, and the token's not kept")
			}
		})
	}
}

// A header that is known says nothing about the rest, nor about another header.
func TestKnownHeaderProvesNothing(t *testing.T) {
	other := popauthtest.NewProofKey(t, "")
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		a := lab.NewDPoPAPI(t, dpop.Options{})
		a.Key, other.Now = popauthtest.NewProofKey(t, alg), a.Clock.Now
		a.Key.Now = a.Clock.Now
		a.Token = a.Issuer.Token(a.Key.Bound())
		theirs := a.Issuer.Token(other.Bound())
		for range 2 { // once unknown, then known
			a.Accept(t, a.Request())
			a.Accept(t, other.Request("GET", lab.DPoPURL, theirs))
		}
		for proof, want := range map[string]popauth.Reason{
			withHeaderOf(a.Request().Header.Get("DPoP"), other.Proof("GET", lab.DPoPURL, a.Token)): popauth.ErrProofSignature,
			withHeaderOf(other.Proof("GET", lab.DPoPURL, a.Token), a.Request().Header.Get("DPoP")): popauth.ErrProofKey,
		} {
			a.RefuseProof(t, a.With(proof), want)
		}
		for name, header := range map[string]popauthtest.Claims{
			"typ": {"typ": "JWT"}, "crit": {"crit": []string{"exp"}}, "private": {"jwk": jwkWith(a.Key.JWK(), "d", "AQAB")},
		} {
			proof := a.Key.ProofWith(header, "GET", lab.DPoPURL, a.Token)
			if _, err := a.Guard.Check(a.With(proof)); !errors.Is(err, popauth.ErrProofMalformed) {
				t.Errorf("VULNERABLE: %s, %s: got %v", alg, name, err)
			}
		}
		a.RefuseProof(t, a.With(a.Key.ProofWith(popauthtest.Claims{"alg": "ES384"}, "GET", lab.DPoPURL, a.Token)),
			popauth.ErrProofAlgorithm)
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
	x := lab.NewTokenRequests(t, dpop.Options{})
	for range 2 {
		if _, _, err := x.Prove(x.Proof()); err != nil {
			t.Fatal(err)
		}
	}
	x.Dpop = lab.Proofs(dpop.Options{Replay: x.Store, Algorithms: []string{"RS256"}})
	if _, _, err := x.Prove(x.Proof()); !errors.Is(err, popauth.ErrProofAlgorithm) {
		t.Errorf("VULNERABLE: got %v, want %v", err, popauth.ErrProofAlgorithm)
	}
}
