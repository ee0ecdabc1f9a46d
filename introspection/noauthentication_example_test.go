package introspection_test

import (
	"fmt"
	"net/http"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A server whose introspection is on a port that only its own network reaches, and asks for no credentials there. That endpoint
// has to be named: the one that metadata names is a public one.
func ExampleNoAuthentication() {
	issuer := popauthtest.NewIssuer(t)
	issuer.Handle("POST /admin/introspect", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("asked with credentials:", r.Header.Get("Authorization") != "" || r.FormValue("client_id") != "")
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"active": %t, "client_id": "batch", "aud": %q}`, r.FormValue("token") == "good", popauthtest.Audience)
	}))
	options := introspection.Options{
		Issuer:         issuer.URL,
		Audience:       []string{popauthtest.Audience},
		Authentication: introspection.NoAuthentication{},
		Client:         issuer.Client(), // in production: none
	}
	_, err := introspection.New(options)
	fmt.Println(err)

	options.Endpoint = issuer.URL + "/admin/introspect"
	verifier, err := introspection.New(options)
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: verifier})
	if err != nil {
		panic(err)
	}
	var nobody *popauthtest.Client // without a certificate
	show(guard.Authenticate(orders), nobody.Request("GET", "/orders", "good"))
	show(guard.Authenticate(orders), nobody.Request("GET", "/orders", "made-up"))
	// Output:
	// introspection: Options.Endpoint: empty, and Authentication is NoAuthentication: name the one that only this network reaches; metadata names a public one
	// asked with credentials: false
	// 200 orders of batch
	// asked with credentials: false
	// 401
}
