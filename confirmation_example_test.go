package popauth_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// ownScheme has bound tokens come under a scheme of their own, whose challenge says more than its name.
type ownScheme struct {
	popauth.MutualTLS
	param popauth.Param
}

func (o ownScheme) Challenge() (scheme string, params []popauth.Param) {
	return "mtls_pop", []popauth.Param{o.param}
}

// Who comes without a token is told what there is, with the parameters of a SchemeConfirmer.
func ExampleParam() {
	options := popauthtest.NewIssuer(t).Options()
	options.Confirmers = []popauth.Confirmer{ownScheme{param: popauth.Param{Name: "algs", Value: "ES256 RS256"}}}
	guard, err := popauth.New(options)
	if err != nil {
		panic(err)
	}
	w := httptest.NewRecorder()
	guard.Confirm(orders).ServeHTTP(w, httptest.NewRequest("GET", "https://api.example.com/orders", nil))
	for _, challenge := range w.Header().Values("WWW-Authenticate") {
		fmt.Println(challenge)
	}
	// Output:
	// Bearer
	// mtls_pop algs="ES256 RS256"
}
