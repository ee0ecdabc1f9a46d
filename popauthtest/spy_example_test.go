package popauthtest_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A refused request must not reach the handler. The thief has the token, and a key of their own.
func ExampleSpy() {
	t := &program{} // in a test, its *testing.T
	defer t.close()

	issuer := popauthtest.NewIssuer(t)
	owner, thief := popauthtest.NewProofKey(t, "ES256"), popauthtest.NewProofKey(t, "ES256")
	token := issuer.Token(owner.Bound())

	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"})
	if err != nil {
		panic(err)
	}
	options := issuer.Options()
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	spy := &popauthtest.Spy{}
	for _, key := range []*popauthtest.ProofKey{owner, thief} {
		w := httptest.NewRecorder()
		guard.Confirm(spy).ServeHTTP(w, key.Request("GET", "https://api.example.com/orders", token))
		fmt.Println(w.Code, spy.Ran())
	}
	// Output:
	// 200 1
	// 401 1
}
