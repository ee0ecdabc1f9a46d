package introspection_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// preparing is what whoever keeps Verifiers asks of one.
type preparing interface {
	Ready() bool
	Load(context.Context) error
}

// A Verifier tells when it has what it needs, can be waited for, and says why that can't be had.
func TestVerifiersTellWhenReady(t *testing.T) {
	for _, kind := range []string{"JWT", "introspection"} {
		for _, reachable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, reachable %t", kind, reachable), func(t *testing.T) {
				l := lab.New(t)
				var transport http.RoundTripper = lab.RoundTrip(lab.Unreachable)
				if reachable {
					transport = l.Issuer.Client().Transport
				}
				client := &http.Client{Transport: transport}
				var v popauth.Verifier
				var err error
				if kind == "JWT" {
					var keys *popauth.RemoteKeys
					keys, err = popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: client})
					if err != nil {
						t.Fatal(err)
					}
					v, err = popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience},
						Keys: keys})
				} else {
					v = lab.IntrospectionBy(t, client, func(o *introspection.Options) { o.Issuer = l.Issuer.URL })
				}
				if err != nil {
					t.Fatal(err)
				}
				p, ok := v.(preparing)
				if !ok || p.Ready() {
					t.Fatalf("before anything was fetched: got ready, or no methods to tell (%t)", ok)
				}
				if err := p.Load(t.Context()); (err == nil) != reachable || err != nil && !errors.Is(err, popauth.ErrUnavailable) &&
					kind == "JWT" {
					t.Errorf("got %v", err)
				}
				if p.Ready() != reachable {
					t.Errorf("afterwards: got ready %t, want %t", !reachable, reachable)
				}
			})
		}
	}
	// Keys that are there from the start, or are somebody else's, are never waited for.
	static, err := popauth.StaticKeys(popauthtest.NewIssuer(t, "EdDSA").JWKS())
	if err != nil {
		t.Fatal(err)
	}
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: "https://id.example.com", Audience: []string{"a"}, Keys: static})
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := v.(preparing); !ok || !p.Ready() || p.Load(t.Context()) != nil {
		t.Error("StaticKeys are not ready")
	}
	if i := new(introspection.Verifier); i.Ready() || !errors.Is(i.Load(t.Context()), popauth.ErrUnconfigured) {
		t.Error("an introspection.Verifier that was not made by New is ready")
	}
}

// What keys need grows with what the issuer publishes, and its Verifier counts them.
func TestSizeOfKeys(t *testing.T) {
	l := lab.New(t)
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: l.Issuer.URL, Client: l.Issuer.Client()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: l.Issuer.URL, Audience: []string{popauthtest.Audience}, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	sized, ok := v.(interface{ Size() int64 })
	if !ok {
		t.Fatal("a Verifier doesn't say what it needs")
	}
	empty, before := keys.Size(), sized.Size()
	lab.Preload(t, keys)
	if grown := keys.Size() - empty; grown <= 0 || sized.Size()-before != grown {
		t.Errorf("with keys: grown by %d bytes, and the Verifier by %d, want the same", grown, sized.Size()-before)
	}
	if got := (*popauth.RemoteKeys)(nil).Size() + new(popauth.RemoteKeys).Size(); got != 0 {
		t.Errorf("keys that were not made: got %d bytes, want 0", got)
	}
}

// Whatever a fetch has failed with, it is an outage: an error of the Client's transport is no word on the token.
func TestTransportErrorsAreOutages(t *testing.T) {
	for _, cause := range []error{popauth.ErrTokenIssuer, &popauth.Error{Reason: popauth.ErrTokenExpired}} {
		client := &http.Client{Transport: lab.RoundTrip(func(*http.Request) (*http.Response, error) { return nil, cause })}
		keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{URL: "https://id.example.com/jwks", Client: client})
		if err != nil {
			t.Fatal(err)
		}
		token := &jwt.Token{Header: map[string]any{"alg": "EdDSA", "kid": "k"}}
		_, err = keys.KeyfuncCtx(t.Context())(token)
		for what, err := range map[string]error{"KeyfuncCtx": err, "Preload": keys.Preload(t.Context())} {
			if e, ok := errors.AsType[*popauth.Error](err); !ok || e.Reason != popauth.ErrUnavailable {
				t.Errorf("%s, for %v: got %v, want %v", what, cause, err, popauth.ErrUnavailable)
			}
		}
	}
}
