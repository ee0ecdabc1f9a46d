package popauth_test

import (
	"context"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

func ExampleNewIssuers() {
	acme, globex := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	tenant := func(issuer *popauthtest.Issuer) popauth.Verifier {
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
	issuers, err := popauth.NewIssuers(popauth.IssuersOptions{
		Verifiers: map[string]popauth.Verifier{acme.URL: tenant(acme)},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: issuers})
	if err != nil {
		panic(err)
	}
	ask := func(token string) { show(guard.Confirm(orders), owner.Request("GET", "/orders", token)) }
	ask(acme.Token(owner.Bound()))
	ask(globex.Token(owner.Bound()))

	if err := issuers.Add(globex.URL, tenant(globex)); err != nil { // a new customer
		panic(err)
	}
	ask(globex.Token(owner.Bound()))
	issuers.Remove(globex.URL)
	ask(globex.Token(owner.Bound()))
	// Output:
	// 200 orders of client-1
	// 401
	// 200 orders of client-1
	// 401
}

// For many tenants: each is looked up when its first token comes.
func ExampleIssuersOptions_resolve() {
	acme := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	database := map[string]bool{acme.URL: true}

	issuers, err := popauth.NewIssuers(popauth.IssuersOptions{
		Resolve: func(_ context.Context, iss string) (popauth.Verifier, error) {
			if !database[iss] {
				return nil, popauth.ErrTokenIssuer
			}
			return popauth.NewJWTVerifier(popauth.JWTOptions{
				Issuer:   iss,
				Audience: []string{popauthtest.Audience},
				Keys:     acme.Options().Keys, // in production: none
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
	show(guard.Confirm(orders), owner.Request("GET", "/orders", acme.Token(owner.Bound())))
	show(guard.Confirm(orders), owner.Request("GET", "/orders", popauthtest.NewIssuer(t).Token(owner.Bound())))
	// Output:
	// 200 orders of client-1
	// 401
}
