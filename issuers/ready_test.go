package issuers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A Guard of several issuers is ready when all that are configured or were added have their keys; one that has none keeps nobody
// from the others.
func TestReady(t *testing.T) {
	acme, globex := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	verifier := func(i *popauthtest.Issuer, keys popauth.KeySource) popauth.Verifier {
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: i.URL, Audience: []string{popauthtest.Audience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	several, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{acme.URL: verifier(acme, acme.Options().Keys)}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := popauth.New(popauth.Options{Verifier: several})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if g.Ready() {
		t.Error("ready without keys")
	}
	if err := g.Preload(ctx); err != nil || !g.Ready() {
		t.Errorf("got %v, ready: %t", err, g.Ready())
	}
	strangers, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: globex.URL}) // which don't trust its certificate
	if err != nil {
		t.Fatal(err)
	}
	if err := several.Add(globex.URL, verifier(globex, strangers)); err != nil {
		t.Fatal(err)
	}
	err = g.Preload(ctx)
	if !errors.Is(err, popauth.ErrUnavailable) || !strings.Contains(err.Error(), "RootCAs") || g.Ready() {
		t.Errorf("one without keys: got %v, ready: %t", err, g.Ready())
	}
	if _, err := g.Check((*popauthtest.Client)(nil).Request("GET", "/", acme.Token()), popauth.AnyIssuer()); err != nil {
		t.Errorf("the other: got %v", err)
	}
	several.Remove(globex.URL)
	if err := g.Preload(ctx); err != nil || !g.Ready() {
		t.Errorf("removed: got %v, ready: %t", err, g.Ready())
	}
	var none *issuers.Verifier
	if err := none.Load(ctx); !errors.Is(err, popauth.ErrUnconfigured) || none.Ready() {
		t.Errorf("none: got %v", err)
	}
}
