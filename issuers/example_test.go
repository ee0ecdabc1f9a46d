package issuers_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// exampleTB stands in for the *testing.T that a test of yours has.
type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

var t = exampleTB{}

var orders = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	caller, _ := popauth.FromContext(r.Context())
	_, _ = fmt.Fprintf(w, "orders of %s", caller.ClientID)
})

func show(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Body)))
}

func ExampleNew() {
	acme, globex := popauthtest.NewIssuer(t), popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	of := func(issuer *popauthtest.Issuer) popauth.Verifier {
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
	verifier, err := issuers.New(issuers.Options{
		Verifiers: map[string]popauth.Verifier{acme.URL: of(acme)},
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: verifier})
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

	if err := verifier.Add(globex.URL, of(globex)); err != nil { // a new customer
		panic(err)
	}
	ask("/globex/orders", globex.Token(owner.Bound()))
	ask("/acme/orders", globex.Token(owner.Bound()))
	verifier.Remove(globex.URL)
	ask("/globex/orders", globex.Token(owner.Bound()))
	// Output:
	// 200 orders of client-1
	// 401
	// 200 orders of client-1
	// 403
	// 401
}

// For many tenants: each is looked up when its first token comes. Its keys are kept from one look-up to the next.
func ExampleOptions_resolve() {
	acme := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	database := map[string]string{"acme": acme.URL} // the issuer of each tenant

	var keys sync.Map // RemoteKeys by issuer
	verifier, err := issuers.New(issuers.Options{
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
	guard, err := popauth.New(popauth.Options{Verifier: verifier})
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
