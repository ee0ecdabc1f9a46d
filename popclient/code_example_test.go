package popclient_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A user logs in by the authorization code flow of golang.org/x/oauth2, and stays so by refresh tokens. The client
// authenticates by private_key_jwt, and its tokens are bound to a key.
func ExampleAuthenticated() {
	issuer := popauthtest.NewIssuer(exampleTB{})
	issuer.Handle("/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.FormValue("grant_type"), "assertion:", r.FormValue("client_assertion") != "", "proof:", r.Header.Get("DPoP") != "")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"an access token","token_type":"DPoP","expires_in":300,"refresh_token":"a refresh token"}`)
	}))

	own, err := popclient.GenerateKey("ES256") // the client's own: its public half is registered with the server
	if err != nil {
		log.Fatal(err)
	}
	key, err := popclient.GenerateKey("ES256") // what tokens are bound to; or GenerateKeyFor the issuer
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{
		Timeout: 10 * time.Second,
		Transport: &popclient.Proofs{Key: key, Base: &popclient.Authenticated{
			ClientID:       "shop",
			Authentication: popclient.PrivateKeyJWT{Key: own, KeyID: "2026-11", Audience: issuer.URL},
			Endpoints:      []string{issuer.URL + "/token"},
			Base:           issuer.Client().Transport,
		}},
	})
	config := oauth2.Config{
		ClientID:    "shop",
		RedirectURL: "https://shop.example.com/callback",
		Endpoint: oauth2.Endpoint{
			AuthURL: issuer.URL + "/authorize", TokenURL: issuer.URL + "/token",
			AuthStyle: oauth2.AuthStyleInParams, // the transport authenticates
		},
	}

	// The browser is sent to this URL, and comes back with a code and the state. By dpop_jkt the code is bound as well.
	verifier := oauth2.GenerateVerifier()
	_ = config.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("dpop_jkt", key.Thumbprint()))

	token, err := config.Exchange(ctx, "the code", oauth2.VerifierOption(verifier))
	if err != nil {
		log.Fatal(err)
	}
	token.Expiry = time.Now() // five minutes later
	client := &http.Client{Transport: &popclient.DPoP{
		Key: key, Source: config.TokenSource(ctx, token), Origins: []string{"https://api.example.com"},
	}}

	fresh, err := client.Transport.(*popclient.DPoP).Source.Token() // which each request asks
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(fresh.Type())
	// Output:
	// authorization_code assertion: true proof: true
	// refresh_token assertion: true proof: true
	// DPoP
}
