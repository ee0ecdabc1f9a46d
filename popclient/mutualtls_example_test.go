package popclient_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A job calls an API by its certificate. Below MutualTLSOptions all is as it would be for the real servers.
func ExampleMutualTLS() {
	ca := popauthtest.NewCA(exampleTB{})
	issuer := exampleIssuer(ca)
	guard, err := popauth.New(issuer.Options())
	if err != nil {
		log.Fatal(err)
	}
	api := popauthtest.NewServer(exampleTB{}, guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		fmt.Fprintf(w, "orders for %s", caller.ClientID)
	})))
	roots := x509.NewCertPool() // of a private PKI
	roots.AddCert(issuer.Server.Certificate())
	roots.AddCert(api.Certificate())

	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      issuer.URL,
		ClientID:    "orders-job",
		Certificate: popclient.StaticCertificate(ca.Client("orders-job").Certificate), // or CertificateFiles("client.crt", "client.key")
		Scopes:      []string{"orders.read"},
		Origins:     []string{api.URL},
		RootCAs:     roots,
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: transport}

	resp, err := client.Get(api.URL + "/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 orders for orders-job
}

// exampleIssuer has a token endpoint that authenticates clients by the certificates of ca.
func exampleIssuer(ca *popauthtest.CA) *popauthtest.Issuer {
	issuer := popauthtest.NewIssuer(exampleTB{})
	issuer.Metadata = popauthtest.Claims{
		"mtls_endpoint_aliases": popauthtest.Claims{"token_endpoint": issuer.URL + "/mtls/token"},
	}
	job, err := clientauth.SubjectDN("CN=orders-job")
	if err != nil {
		log.Fatal(err)
	}
	auth, err := clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{"orders-job": {{Credential: job}}},
		Endpoints: clientauth.PathPrefix("/mtls"),
		Roots:     ca.Pool(),
	})
	if err != nil {
		log.Fatal(err)
	}
	issuer.Handle("/mtls/token", auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := auth.Authenticate(r)
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		token := issuer.Token(popauthtest.Claims{"client_id": client.ID, "cnf": client.Confirmation()})
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
	})))
	return issuer
}
