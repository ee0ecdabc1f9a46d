package thirdparty_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// verify is a Verifier of one function.
type verify func(context.Context, string) (*popauth.Token, error)

func (v verify) Verify(ctx context.Context, token string) (*popauth.Token, error) {
	return v(ctx, token)
}

// wrapped hides what else a Verifier can do.
type wrapped struct{ popauth.Verifier }

// saying is a Verifier that says whose tokens it accepts, and accepts others.
type saying struct {
	popauth.Verifier
	issuers []string
}

func (s saying) Issuers() []string { return s.issuers }

// overriding refuses what the Verifier embedded in it lets pass, and has the rest of its methods.
type overriding struct{ *issuers.Verifier }

func (overriding) Verify(context.Context, string) (*popauth.Token, error) {
	return nil, popauth.ErrTokenRevoked
}

func TestVerifiers(t *testing.T) {
	w := newWorld(t)
	tenants, err := issuers.New(issuers.Options{Verifiers: map[string]popauth.Verifier{w.issuer.URL: w.own}})
	if err != nil {
		t.Fatal(err)
	}
	returns := func(token *popauth.Token, err error) popauth.Options {
		return w.verifiedBy(verify(func(context.Context, string) (*popauth.Token, error) { return token, err }))
	}
	w.run(t, []party{
		{name: "nothing", options: returns(nil, nil), one: 401, two: 401},
		{name: "the zero Token", options: returns(&popauth.Token{}, nil), one: 401, two: 401},
		{name: "the zero Error", options: returns(nil, &popauth.Error{}), one: 401, two: 401},
		{name: "an empty Reason", options: returns(nil, popauth.Reason("")), one: 401, two: 401},
		{name: "a token and an error", options: w.verifiedBy(verify(func(ctx context.Context, s string) (*popauth.Token, error) {
			token, _ := w.own.Verify(ctx, s)
			return token, errors.New("no")
		})), one: 401, two: 401},
		{name: "one token for all", options: w.verifiedBy(verify(func(ctx context.Context, _ string) (*popauth.Token, error) {
			return w.own.Verify(ctx, w.token)
		})), one: 200, two: 200},
		{name: "a wrapper", options: w.verifiedBy(wrapped{w.own}), one: 200, two: 401},
		{name: "a wrapper of nothing", options: w.verifiedBy(wrapped{}), one: panics, two: panics},
		{name: "one that says other issuers", options: w.verifiedBy(saying{w.own, []string{"https://other.example"}}), one: 401, two: 401},
		{name: "one that says no issuer", options: w.verifiedBy(saying{w.own, nil}), one: 200, two: 401},
		{name: "several issuers", options: w.verifiedBy(tenants), one: 200, two: 401},
		{name: "several issuers embedded", options: w.verifiedBy(overriding{tenants}), one: 401, two: 401},
		{name: "introspection of a failed New", options: w.verifiedBy((*introspection.Verifier)(nil)), one: 500, two: 500},
		{name: "issuers of a failed New", options: w.verifiedBy((*issuers.Verifier)(nil)), one: 500, two: 500},
		{name: "JWTOr, one of a failed New", options: w.verifiedBy(popauth.JWTOr((*introspection.Verifier)(nil), w.own)), one: 500,
			two: 500},
		{name: "one that panics", options: w.verifiedBy(verify(func(context.Context, string) (*popauth.Token, error) {
			panic("verify")
		})), one: panics, two: panics},
	})
}

// What Resolve returns stands for one issuer, and for no other's tokens.
func TestResolve(t *testing.T) {
	w := newWorld(t)
	resolved := func(v popauth.Verifier, err error) popauth.Options {
		tenants, newErr := issuers.New(issuers.Options{Resolve: func(context.Context, string) (popauth.Verifier, error) { return v, err }})
		if newErr != nil {
			t.Fatal(newErr)
		}
		return w.verifiedBy(tenants)
	}
	panicking, err := issuers.New(issuers.Options{Resolve: func(context.Context, string) (popauth.Verifier, error) { panic("resolve") }})
	if err != nil {
		t.Fatal(err)
	}
	other := popauthtest.NewIssuer(t)
	w.run(t, []party{
		{name: "ours", options: resolved(w.own, nil), one: 200, two: 401},
		{name: "nothing", options: resolved(nil, nil), one: 401, two: 401},
		{name: "one of a failed New", options: resolved((*introspection.Verifier)(nil), nil), one: 503, two: 503},
		{name: "a Verifier and an error", options: resolved(w.own, errors.New("no")), one: 503, two: 503},
		{name: "another issuer's token", options: resolved(verify(func(context.Context, string) (*popauth.Token, error) {
			return popauth.NewToken([]byte(`{"iss":"` + other.URL + `","sub":"admin","cnf":{"x5t#S256":"` + w.owner.Thumbprint() + `"}}`))
		}), nil), one: 401, two: 401},
		{name: "one that panics", options: w.verifiedBy(panicking), one: 503, two: 503},
	})
}

// keyfunc is a KeySource of one function.
type keyfunc func(*jwt.Token) (any, error)

func (k keyfunc) KeyfuncCtx(context.Context) jwt.Keyfunc { return jwt.Keyfunc(k) }

// withdrawing chooses otherwise than the RemoteKeys embedded in it, whose methods it has.
type withdrawing struct{ *popauth.RemoteKeys }

func (withdrawing) KeyfuncCtx(context.Context) jwt.Keyfunc {
	return func(*jwt.Token) (any, error) { return nil, errors.New("withdrawn") }
}

// Whatever a KeySource returns is a key of the token's algorithm, or none.
func TestKeySources(t *testing.T) {
	w := newWorld(t)
	remote, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: w.issuer.URL, Client: w.issuer.Client()})
	if err != nil {
		t.Fatal(err)
	}
	by := func(keys popauth.KeySource) popauth.Options {
		o := w.issuer.Options()
		o.Keys = keys
		return o
	}
	another, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	list := []party{
		{name: "RemoteKeys", options: by(remote), one: 200, two: 401},
		{name: "RemoteKeys embedded", options: by(withdrawing{remote}), one: 401, two: 401},
		{name: "one that changes the token", options: by(keyfunc(func(t *jwt.Token) (any, error) {
			t.Method = jwt.SigningMethodNone
			return jwt.UnsafeAllowNoneSignatureType, nil
		})), one: 401, two: 401},
		{name: "no function", options: by(keyfunc(nil)), one: panics, two: panics},
	}
	for name, key := range map[string]any{
		"nothing": nil, "a nil RSA key": (*rsa.PublicKey)(nil), "a nil ECDSA key": (*ecdsa.PublicKey)(nil),
		"a nil Ed25519 key":  ed25519.PublicKey(nil),
		"the zero ECDSA key": &ecdsa.PublicKey{}, "an RSA key of zero": &rsa.PublicKey{N: new(big.Int)}, "a short Ed25519 key": another[:5],
		"a secret": []byte("secret"), "none": jwt.UnsafeAllowNoneSignatureType, "another key": another,
		"an empty set":     jwt.VerificationKeySet{},
		"a set of nothing": jwt.VerificationKeySet{Keys: []jwt.VerificationKey{nil, (*ecdsa.PublicKey)(nil)}},
	} {
		list = append(list, party{name: name, options: by(keyfunc(func(*jwt.Token) (any, error) { return key, nil })), one: 401, two: 401})
	}
	w.run(t, list)
}
