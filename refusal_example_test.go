package popauth_test

import (
	"fmt"
	"net/http"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A door that is no http.Handler, such as a gRPC service that a proxy asks, answers by values.
func ExampleGuard_Refusal() {
	issuer := popauthtest.NewIssuer(t)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		panic(err)
	}
	door := func(r *http.Request) {
		d, err := guard.Decide(r, popauth.Scope("orders.write"))
		if err != nil {
			no := guard.Refusal(r, err)
			fmt.Println(no.Status, no.Header()["Www-Authenticate"], no.Header()["Cache-Control"])
			fmt.Println(string(no.Problem()))
			return
		}
		fmt.Println("yes,", d.Principal.ClientID)
	}
	door((*popauthtest.Client)(nil).Request("POST", "/orders", issuer.Token(popauthtest.Claims{"scope": "orders.write"})))
	door((*popauthtest.Client)(nil).Request("POST", "/orders", issuer.Token(popauthtest.Claims{"scope": "orders.read"})))
	// Output:
	// yes, client-1
	// 403 [Bearer error="insufficient_scope", error_description="The access token lacks a scope", scope="orders.write"] [no-store]
	// {"type":"about:blank","title":"Forbidden","status":403,"detail":"The access token lacks a scope","error":"insufficient_scope"}
}
