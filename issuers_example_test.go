package popauth_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func ExampleNewIssuers() {
	acme, globex := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	verifier := func(issuer *popauthtest.Issuer) popauth.Verifier {
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{
			Issuer:   issuer.URL,
			Audience: []string{popauthtest.Audience},
			Keys:     issuer.Options().Keys, // in production: none
		})
		if err != nil {
			panic(err)
		}
		return v
	}
	issuers, err := issuers.New(issuers.Options{
		Verifiers: map[string]popauth.Verifier{acme.URL: verifier(acme)},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: issuers})
	if err != nil {
		panic(err)
	}
	// Both issuers have a client-1. Each tenant's routes are open to what its own issuer says, and to nothing else.
	tenants := map[string]string{"acme": acme.URL, "globex": globex.URL}
	tenant := popauth.IssuerFunc(func(r *http.Request) (string, error) { return tenants[r.PathValue("tenant")], nil })
	mux := http.NewServeMux()
	mux.Handle("GET /{tenant}/orders", guard.Confirm(guard.Authorize(tenant, popauth.Client("client-1"))(orders)))

	ask := func(path, token string) { show(mux, owner.Request("GET", path, token)) }
	ask("/acme/orders", acme.Token(owner.Bound()))
	ask("/globex/orders", globex.Token(owner.Bound()))

	if err := issuers.Add(globex.URL, verifier(globex)); err != nil { // a new customer
		panic(err)
	}
	ask("/globex/orders", globex.Token(owner.Bound()))
	ask("/acme/orders", globex.Token(owner.Bound()))
	issuers.Remove(globex.URL)
	ask("/globex/orders", globex.Token(owner.Bound()))
	// Output:
	// 200 orders of client-1
	// 401
	// 200 orders of client-1
	// 403
	// 401
}

// For many tenants: each is looked up when its first token comes. Its keys are kept from one look-up to the next.
func ExampleIssuersOptions_resolve() {
	acme := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	database := map[string]string{"acme": acme.URL} // the issuer of each tenant

	var keys sync.Map // RemoteKeys by issuer
	issuers, err := issuers.New(issuers.Options{
		Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
			if !slices.Contains(slices.Collect(maps.Values(database)), iss) {
				return nil, popauth.ErrTokenIssuer
			}
			fresh, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{
				Issuer: iss,
				Client: acme.Client(), // in production: none
			})
			if err != nil {
				return nil, err
			}
			kept, _ := keys.LoadOrStore(iss, fresh)
			return popauth.NewJWTVerifier(popauth.JWTOptions{
				Issuer:   iss,
				Audience: []string{popauthtest.Audience},
				Keys:     kept.(*popauth.RemoteKeys),
			})
		},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: issuers})
	if err != nil {
		panic(err)
	}
	tenant := popauth.IssuerFunc(func(r *http.Request) (string, error) { return database[r.PathValue("tenant")], nil })
	mux := http.NewServeMux()
	mux.Handle("GET /{tenant}/orders", guard.Confirm(guard.Authorize(tenant)(orders)))

	show(mux, owner.Request("GET", "/acme/orders", acme.Token(owner.Bound())))
	show(mux, owner.Request("GET", "/globex/orders", acme.Token(owner.Bound())))
	show(mux, owner.Request("GET", "/acme/orders", popauthtest.NewIssuer(t).Token(owner.Bound())))
	// Output:
	// 200 orders of client-1
	// 403
	// 401
}
