package popclient_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// exampleTB stands in for the *testing.T that a test of yours has.
type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

// The API asks for nonces; whoever uses the client doesn't notice.
func ExampleDPoP() {
	issuer := popauthtest.NewIssuer(exampleTB{})
	options := issuer.Options()
	proofs, err := dpop.New(dpop.Options{
		URL: dpop.RequestURL, Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{proofs}
	guard, err := popauth.New(options)
	if err != nil {
		log.Fatal(err)
	}
	api := popauthtest.NewServer(exampleTB{}, guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		order, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "ordered: %s", order)
	})))

	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	bound := issuer.Token(popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": key.Thumbprint()}})
	client := &http.Client{Transport: &popclient.DPoP{
		Key:     key,
		Source:  oauth2.StaticTokenSource(&oauth2.Token{AccessToken: bound, TokenType: "DPoP"}),
		Base:    api.Client().Transport,
		Origins: []string{api.URL},
	}}
	resp, err := client.Post(api.URL+"/orders", "text/plain", strings.NewReader("one coffee"))
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(answer))
	// Output: 200 ordered: one coffee
}

// The token is bound to the key when it is obtained.
func ExampleProofs() {
	issuer := popauthtest.NewIssuer(exampleTB{})
	issuer.Handle("/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("proofs:", len(r.Header.Values("DPoP")))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"an access token","token_type":"DPoP","expires_in":300}`)
	}))

	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{
		Transport: &popclient.Proofs{Key: key, Base: issuer.Client().Transport},
	})
	config := clientcredentials.Config{ClientID: "orders", ClientSecret: "secret", TokenURL: issuer.URL + "/token"}
	client := &http.Client{Transport: &popclient.DPoP{Key: key, Source: config.TokenSource(ctx)}}

	token, err := client.Transport.(*popclient.DPoP).Source.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.TokenType)
	// Output:
	// proofs: 1
	// DPoP
}

// A request that doesn't go through an http.Client gets its proof by hand.
func ExampleKey_Proof() {
	key, err := popclient.GenerateKey("EdDSA")
	if err != nil {
		log.Fatal(err)
	}
	proof, err := key.Proof("GET", "https://api.example.com/stream", "the access token", "the last nonce")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Count(proof, "."), len(key.Thumbprint()))
	// Output: 2 43
}
