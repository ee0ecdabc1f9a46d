package revocation_test

import (
	"fmt"

	"github.com/seed-171ab058/popauth/revocation"
)

// Without anything to ask, nothing could be found out, and every certificate would be refused.
func ExampleNew() {
	_, err := revocation.New(revocation.Options{})
	fmt.Println(err)
	_, err = revocation.New(revocation.Options{OCSP: true, DistributionPoints: true})
	fmt.Println(err)
	// Output:
	// revocation: Options.Files: without Files, OCSP or DistributionPoints there is nothing to ask
	// <nil>
}
