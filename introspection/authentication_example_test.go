package introspection_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// The ways in which an API says to the authorization server who it is. What is left out is said when the Verifier is made.
func ExampleClientAuthentication() {
	issuer := popauthtest.NewIssuer(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	for _, way := range []introspection.ClientAuthentication{
		introspection.ClientSecretBasic{ID: "orders-api", Secret: "…"},
		introspection.ClientSecretPost{ID: "orders-api", Secret: "…"},
		introspection.PrivateKeyJWT{ID: "orders-api", Method: jwt.SigningMethodES256, Key: key, KeyID: "2026"},
		introspection.TLSClientAuth{ID: "orders-api"}, // its certificate is in Options.Client
		introspection.ClientSecretPost{ID: "orders-api"},
	} {
		_, err := introspection.New(introspection.Options{
			Issuer:         issuer.URL,
			Audience:       []string{popauthtest.Audience},
			Authentication: way,
			Client:         issuer.Client(),
		})
		fmt.Printf("%T: %t\n", way, err == nil)
	}
	// Output:
	// introspection.ClientSecretBasic: true
	// introspection.ClientSecretPost: true
	// introspection.PrivateKeyJWT: true
	// introspection.TLSClientAuth: true
	// introspection.ClientSecretPost: false
}
