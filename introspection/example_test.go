package introspection_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/introspection"
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

// Opaque tokens: the authorization server says what they stand for, and what they are bound to.
func ExampleNew() {
	issuer := popauthtest.NewIssuer(t)
	owner := popauthtest.SelfSigned(t, "owner")
	thief := popauthtest.SelfSigned(t, "thief")

	verifier, err := introspection.New(introspection.Options{
		Issuer:         issuer.URL, // the endpoint comes from its metadata
		Audience:       []string{popauthtest.Audience},
		Authentication: introspection.ClientSecretBasic{ID: "orders-api", Secret: "…"},
		Client:         issuer.Client(), // in production: none
	})
	if err != nil {
		panic(err)
	}
	guard, err := popauth.New(popauth.Options{Verifier: verifier})
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
