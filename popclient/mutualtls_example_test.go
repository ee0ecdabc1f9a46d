package popclient_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// A job calls an API by its certificate. Below MutualTLSOptions all is as it would be for the real servers.
func ExampleMutualTLS() {
	ca := popauthtest.NewCA(exampleTB{})
	issuer := exampleIssuer(ca)
	api, roots := exampleAPI(issuer)

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
	// Output: 200 orders for orders-job by mutual TLS
}

// The certificate authenticates the client to the authorization server, and the tokens are bound to a key: for an API
// behind something that ends TLS, where the client's certificate doesn't get.
func ExampleMutualTLS_key() {
	ca := popauthtest.NewCA(exampleTB{})
	issuer := exampleIssuer(ca)
	api, roots := exampleAPI(issuer)

	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		log.Fatal(err)
	}
	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      issuer.URL,
		ClientID:    "orders-job",
		Certificate: popclient.StaticCertificate(ca.Client("orders-job").Certificate),
		Key:         key,
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
	// Output: 200 orders for orders-job by DPoP
}

// The private key stays where it is, behind a crypto.Signer; the certificate is in a file.
func ExampleCertificateFile() {
	ca := popauthtest.NewCA(exampleTB{})
	issuer := exampleIssuer(ca)
	api, roots := exampleAPI(issuer)
	certFile, signer, remove := exampleSigner(ca) // of a KMS or a PKCS#11 token, in production
	defer remove()

	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      issuer.URL,
		ClientID:    "orders-job",
		Certificate: popclient.CertificateFile(certFile, signer),
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
	// Output: 200 orders for orders-job by mutual TLS
}

// Connections that somebody else makes get a TLS configuration and a token source which belong together. For gRPC:
//
//	conn, err := grpc.NewClient(target,
//		grpc.WithTransportCredentials(credentials.NewTLS(c.TLSConfig())),
//		grpc.WithPerRPCCredentials(oauth.TokenSource{TokenSource: c}))
func ExampleMutualTLS_Credentials() {
	ca := popauthtest.NewCA(exampleTB{})
	issuer := exampleIssuer(ca)
	api, roots := exampleAPI(issuer)

	m, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      issuer.URL,
		ClientID:    "orders-job",
		Certificate: popclient.StaticCertificate(ca.Client("orders-job").Certificate),
		RootCAs:     roots,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	c, err := m.Credentials(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &oauth2.Transport{
		Source: c,
		Base:   &http.Transport{TLSClientConfig: c.TLSConfig()},
	}}

	resp, err := client.Get(api.URL + "/orders")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))

	// Now and then, for the connections to come:
	if next, err := m.Credentials(ctx); err == nil && next != c {
		fmt.Println("there is a new certificate")
	}
	// Output: 200 orders for orders-job by mutual TLS
}

// exampleAPI is an API for the issuer's tokens, and what verifies both of them.
func exampleAPI(issuer *popauthtest.Issuer) (*httptest.Server, *x509.CertPool) {
	options := issuer.Options()
	proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL})
	if err != nil {
		log.Fatal(err)
	}
	options.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs}
	guard, err := popauth.New(options)
	if err != nil {
		log.Fatal(err)
	}
	api := popauthtest.NewServer(exampleTB{}, guard.Confirm(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := popauth.FromContext(r.Context())
		by := "mutual TLS"
		if strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") {
			by = "DPoP"
		}
		fmt.Fprintf(w, "orders for %s by %s", caller.ClientID, by)
	})))
	roots := x509.NewCertPool() // of a private PKI
	roots.AddCert(issuer.Server.Certificate())
	roots.AddCert(api.Certificate())
	return api, roots
}

// exampleSigner is a signer, and the file of its certificate.
func exampleSigner(ca *popauthtest.CA) (string, crypto.Signer, func()) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "popclient")
	if err != nil {
		log.Fatal(err)
	}
	certFile, _, err := ca.ClientFor(key, "orders-job").WritePEM(dir)
	if err != nil {
		log.Fatal(err)
	}
	return certFile, opaque{key}, func() { _ = os.RemoveAll(dir) }
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
	proofs, err := dpop.New(dpop.Options{BaseURL: issuer.URL})
	if err != nil {
		log.Fatal(err)
	}
	auth, err := clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{"orders-job": {{Credential: job}}},
		Endpoints: clientauth.PathPrefix("/mtls"),
		Roots:     ca.Pool(),
		DPoP:      proofs,
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
		bound, err := auth.Proof(w.Header(), r) // to the key of a proof, if there is one
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		if bound == (clientauth.Confirmation{}) {
			bound = client.Confirmation()
		}
		token := issuer.Token(popauthtest.Claims{"client_id": client.ID, "cnf": bound})
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": bound.TokenType(), "expires_in": 300})
	})))
	return issuer
}
