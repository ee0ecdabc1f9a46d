package popauth_test

import (
	"fmt"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// Opaque tokens: the authorization server says what they stand for, and what they are bound to.
func ExampleNewIntrospection() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	thief := popauthtest.SelfSigned(t, "thief")

	introspection, err := introspection.New(introspection.Options{
		Issuer:         issuer.URL, // the endpoint comes from its metadata
		Audience:       []string{popauthtest.Audience},
		Authentication: introspection.ClientSecretBasic{ID: "orders-api", Secret: "…"},
		Client:         issuer.Client(), // in production: none
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: introspection})
	if err != nil {
		panic(err)
	}
	token := issuer.Opaque(owner.Bound())
	show(guard.Confirm(orders), owner.Request("GET", "/orders", token))
	show(guard.Confirm(orders), thief.Request("GET", "/orders", token))
	show(guard.Confirm(orders), owner.Request("GET", "/orders", "made-up"))
	// Output:
	// 200 orders of client-1
	// 401
	// 401
}

// An API that gets JWTs from some clients and opaque tokens from others asks the server only about the latter.
func ExampleJWTOr() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")

	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: issuer.URL, Client: issuer.Client()})
	if err != nil {
		panic(err)
	}
	jwts, err := popauth.NewJWTVerifier(popauth.JWTOptions{
		Issuer:   issuer.URL,
		Audience: []string{popauthtest.Audience},
		Keys:     keys, // in production: none
	})
	if err != nil {
		panic(err)
	}
	introspection, err := introspection.New(introspection.Options{
		Issuer: issuer.URL, Audience: []string{popauthtest.Audience}, Client: issuer.Client(),
		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: popauth.JWTOr(jwts, introspection)})
	if err != nil {
		panic(err)
	}
	show(guard.Confirm(orders), owner.Request("GET", "/orders", issuer.Token(owner.Bound())))
	fmt.Println(issuer.Introspections(), "calls")
	show(guard.Confirm(orders), owner.Request("GET", "/orders", issuer.Opaque(owner.Bound())))
	fmt.Println(issuer.Introspections(), "call")
	// Output:
	// 200 orders of client-1
	// 0 calls
	// 200 orders of client-1
	// 1 call
}
