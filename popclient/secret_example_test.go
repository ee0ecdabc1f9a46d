package popclient_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// secretIssuer says how it was sent a secret.
func secretIssuer() *popauthtest.Issuer {
	issuer := popauthtest.NewIssuer(exampleTB{})
	issuer.Handle("/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, form := "no secret", "no secret"
		if id, secret, ok := r.BasicAuth(); ok {
			header = id + ":" + secret
		}
		if secret := r.FormValue("client_secret"); secret != "" {
			form = r.FormValue("client_id") + ":" + secret
		}
		fmt.Printf("in the header: %s, in the form: %s\n", header, form)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"an access token","token_type":"Bearer","expires_in":300}`)
	}))
	return issuer
}

// token asks the issuer for one by client credentials.
func token(issuer *popauthtest.Issuer, authentication popclient.ClientAuthentication) {
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: &popclient.Authenticated{
		ClientID:       "shop",
		Authentication: authentication,
		Endpoints:      []string{issuer.URL + "/token"},
		Base:           issuer.Client().Transport,
	}})
	config := clientcredentials.Config{
		ClientID: "shop", TokenURL: issuer.URL + "/token",
		AuthStyle: oauth2.AuthStyleInParams, // the transport authenticates
	}
	got, err := config.Token(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(got.Type())
}

// A secret that something else changes while the client runs: it is asked for before each request. Whatever prints the struct
// gets no secret.
func ExampleClientSecretBasic() {
	secrets := strings.NewReader("old new")
	authentication := popclient.ClientSecretBasic{Source: func(context.Context) (string, error) {
		var secret string
		_, err := fmt.Fscan(secrets, &secret) // of a file, or a vault
		return secret, err
	}}
	issuer := secretIssuer()
	token(issuer, authentication)
	token(issuer, authentication)
	fmt.Println(popclient.ClientSecretBasic{Secret: "the secret"})
	// Output:
	// in the header: shop:old, in the form: no secret
	// Bearer
	// in the header: shop:new, in the form: no secret
	// Bearer
	// popclient.ClientSecretBasic{secret withheld}
}

// For a server that takes secrets in the form alone.
func ExampleClientSecretPost() {
	token(secretIssuer(), popclient.ClientSecretPost{Secret: "the-secret"})
	fmt.Println(popclient.ClientSecretPost{Secret: "the-secret"})
	// Output:
	// in the header: no secret, in the form: shop:the-secret
	// Bearer
	// popclient.ClientSecretPost{secret withheld}
}
