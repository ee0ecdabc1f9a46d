package popauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/seed-171ab058/popauth"
)

// A certificate from a header of something in front that package proxy has no format for. Whether it came that way is asked first;
// a certificate that can't be read is an error, never none.
func ExampleProxiedCertificate() {
	source, err := popauth.ProxiedCertificate(popauth.ProxiedOptions{
		Proxied: func(r *http.Request) (bool, error) { return r.RemoteAddr == "10.0.4.7:40000", nil },
		Certificate: func(r *http.Request) (*popauth.Certificate, error) {
			return nil, errors.New("X-Device-Certificate: not in DER")
		},
		Headers: []string{"X-Device-Certificate"},
	})
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest("GET", "/orders", nil)
	r.RemoteAddr = "10.0.4.7:40000"
	r.Header.Set("X-Device-Certificate", "…")
	_, err = source.Certificate(r)
	fmt.Println(err != nil)
	// Output: true
}

// MutualTLS confirms one member of cnf.
func ExampleMutualTLS() {
	fmt.Println(popauth.MutualTLS{}.Member())
	// Output: x5t#S256
}
