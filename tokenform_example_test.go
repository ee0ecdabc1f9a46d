package popauth_test

import (
	"fmt"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

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
	opaque, err := introspection.New(introspection.Options{
		Issuer: issuer.URL, Audience: []string{popauthtest.Audience}, Client: issuer.Client(),
		Authentication: introspection.ClientSecretBasic{ID: "api", Secret: "secret"},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: popauth.JWTOr(jwts, opaque)})
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
