package clientauth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A client changes from one certificate to the next: both are registered until the old one stops to count.
func ExampleRegistration() {
	old, next := popauthtest.SelfSigned(program, "till-7"), popauthtest.SelfSigned(program, "till-7")
	clock := popauthtest.NewClock(time.Now())
	change := clock.Now().Add(time.Hour)

	oldThumbprint, err := clientauth.Thumbprint(old.Thumbprint())
	if err != nil {
		panic(err)
	}
	nextThumbprint, err := clientauth.Thumbprint(next.Thumbprint())
	if err != nil {
		panic(err)
	}
	auth, err := clientauth.New(clientauth.Options{
		Clients: clientauth.Static{"till-7": {
			clientauth.Registration{Credential: oldThumbprint, Expires: change},
			clientauth.Registration{Credential: nextThumbprint},
		}},
		Endpoints: clientauth.PathPrefix("/mtls"),
		Now:       clock.Now,
	})
	if err != nil {
		panic(err)
	}
	authenticate := func(name string, c *popauthtest.Client) {
		r := c.Request("POST", "https://id.example.com/mtls/token", "")
		r.Body = io.NopCloser(strings.NewReader("client_id=till-7"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			client, err := auth.Authenticate(r)
			if err != nil {
				fmt.Println(name, "is refused:", errors.Is(err, clientauth.ErrCertificateMismatch))
				return
			}
			fmt.Println(name, "is", client.ID)
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
	authenticate("old", old)
	authenticate("next", next)
	clock.Advance(2 * time.Hour)
	authenticate("old", old)
	authenticate("next", next)
	// Output:
	// old is till-7
	// next is till-7
	// old is refused: true
	// next is till-7
}
