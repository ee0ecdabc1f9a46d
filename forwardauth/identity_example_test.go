package forwardauth_test

import (
	"fmt"

	"github.com/seed-171ab058/popauth/forwardauth"
)

// The headers that an API behind gets, for a door of your own. No client may send one of them.
func ExampleNewIdentity() {
	identity, err := forwardauth.NewIdentity(map[string]string{"X-Auth-Tenant": "tenant"})
	if err != nil {
		panic(err)
	}
	for _, name := range identity.Names() {
		fmt.Println(name)
	}
	// Output:
	// X-Auth-Binding
	// X-Auth-Client
	// X-Auth-Issuer
	// X-Auth-Scope
	// X-Auth-Subject
	// X-Auth-Tenant
}
