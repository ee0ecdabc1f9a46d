package clientauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// program stands for the *testing.T of a test.
var program = exampleTB{}

type exampleTB struct{}

func (exampleTB) Helper()                           {}
func (exampleTB) Cleanup(func())                    {}
func (exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A token endpoint whose clients authenticate by certificate: at /mtls/token, where one is demanded.
func Example() {
	ca := popauthtest.NewCA(program)
	batch, err := clientauth.SubjectDN("CN=orders-batch")
	if err != nil {
		panic(err)
	}
	auth, err := clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{"orders-batch": {{Credential: batch}}},
		Endpoints: clientauth.PathPrefix("/mtls"),
		Roots:     ca.Pool(),
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		client, err := auth.Authenticate(r)
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		claims, _ := json.Marshal(struct {
			ClientID     string                  `json:"client_id"`
			Confirmation clientauth.Confirmation `json:"cnf,omitzero"`
		}{client.ID, client.Confirmation()})
		_, _ = fmt.Fprintf(w, "a token with %s", claims) // signed, in production
	})
	server := popauthtest.NewServer(program, auth.Handler(mux))

	owner, thief := ca.Client("orders-batch"), popauthtest.SelfSigned(program, "orders-batch")
	for _, caller := range []*popauthtest.Client{owner, thief, nil} {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders-batch"}}
		response, err := caller.HTTP(server).PostForm(server.URL+"/mtls/token", form)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		fmt.Println(response.StatusCode, strings.ReplaceAll(string(body), owner.Thumbprint(), "…"))
	}
	// Output:
	// 200 a token with {"client_id":"orders-batch","cnf":{"x5t#S256":"…"}}
	// 401 {"error":"invalid_client","error_description":"Client authentication failed"}
	// 401 {"error":"invalid_client","error_description":"Client authentication failed"}
}

// A server with other methods too. With AlwaysBind, their clients get bound tokens if they come with a certificate.
func ExampleAuthenticator_Confirmation() {
	auth, err := clientauth.New(clientauth.Options{
		Clients:    clientauth.Static{},
		Endpoints:  clientauth.PathPrefix("/mtls"),
		AlwaysBind: true,
	})
	if err != nil {
		panic(err)
	}
	bySecret := func(r *http.Request) (id string, ok bool) { // as the server has it
		id, secret, _ := r.BasicAuth()
		return id, secret == "correct"
	}
	token := func(w http.ResponseWriter, r *http.Request) {
		client, err := auth.Authenticate(r)
		if errors.Is(err, clientauth.ErrOtherMethod) {
			if id, ok := bySecret(r); ok {
				client, err = &clientauth.Client{ID: id}, nil
			}
		}
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		_, _ = fmt.Fprintf(w, "a token for %s, bound: %t", client.ID, auth.Confirmation(r) != clientauth.Confirmation{})
	}
	server := popauthtest.NewServer(program, auth.Handler(http.HandlerFunc(token)))
	caller := popauthtest.SelfSigned(program, "anybody").HTTP(server)
	for _, path := range []string{"/mtls/token", "/token"} {
		r, err := http.NewRequest("POST", server.URL+path, strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("web", "correct")
		response, err := caller.Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		fmt.Printf("%s\n", body)
	}
	// Output:
	// a token for web, bound: true
	// a token for web, bound: false
}

// A token endpoint whose clients may bind tokens to DPoP keys. This one authenticates by secret, and without mutual TLS
// there is nothing to be said of Clients and Endpoints.
func ExampleAuthenticator_Proof() {
	mux := http.NewServeMux()
	server := popauthtest.NewServer(program, mux)
	proofs, err := dpop.New(dpop.Options{BaseURL: server.URL}) // the server's own name, as clients call it
	if err != nil {
		panic(err)
	}
	auth, err := clientauth.New(clientauth.Options{DPoP: proofs})
	if err != nil {
		panic(err)
	}
	token := func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if secret != "correct" {
			clientauth.WriteError(w, clientauth.ErrOtherMethod)
			return
		}
		cnf, err := auth.Proof(w.Header(), r)
		if err != nil {
			clientauth.WriteError(w, err)
			return
		}
		_, _ = fmt.Fprintf(w, "a %s token for %s, bound: %t", cnf.TokenType(), id, cnf.JKT != "")
	}
	mux.HandleFunc("POST /token", token)
	key := popauthtest.NewProofKey(program, "")
	proof := key.Proof("POST", server.URL+"/token", "")
	for _, proof := range []string{"", proof, proof} { // the last one is a replay
		r, err := http.NewRequest("POST", server.URL+"/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			panic(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("web", "correct")
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(response.Body)
		fmt.Printf("%s\n", body)
	}
	// Output:
	// a Bearer token for web, bound: false
	// a DPoP token for web, bound: true
	// {"error":"invalid_dpop_proof","error_description":"The DPoP proof is not valid for this request"}
}

// Clients in a file. That an unknown member is refused matters: a misspelt "expires" would never expire.
func ExampleStatic() {
	file := json.NewDecoder(strings.NewReader(`{
		"orders-batch": [
			{"credential": "subject_dn=CN=orders-batch,O=Example", "expires": "2027-01-01T00:00:00Z"},
			{"credential": "san_uri=spiffe://example.org/orders"}
		],
		"till-7": [{"credential": "thumbprint=2B:0C:…"}]
	}`))
	file.DisallowUnknownFields()
	var clients clientauth.Static
	err := file.Decode(&clients)
	what, cure, _ := strings.Cut(err.Error(), "; ")
	fmt.Printf("%s\n%s\n", what, cure)
	// Output:
	// clientauth: thumbprint: neither 64 hex digits nor 43 characters of base64url
	// this prints one: openssl x509 -in client.pem -noout -fingerprint -sha256
}

// The metadata of a server that knows other methods as well.
func ExampleAuthenticator_Metadata() {
	auth, err := clientauth.New(clientauth.Options{
		Clients:   clientauth.Static{},
		Endpoints: clientauth.Subdomain("mtls"),
	})
	if err != nil {
		panic(err)
	}
	metadata, err := auth.Metadata("https://id.example.com/eu", clientauth.EndpointURLs{Token: "/token"})
	if err != nil {
		panic(err)
	}
	metadata.TokenMethods = append(metadata.TokenMethods, "private_key_jwt")
	document := struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
		clientauth.Metadata
	}{"https://id.example.com/eu", "https://id.example.com/eu/token", metadata}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	_ = out.Encode(document)
	// Output:
	// {
	//   "issuer": "https://id.example.com/eu",
	//   "token_endpoint": "https://id.example.com/eu/token",
	//   "mtls_endpoint_aliases": {
	//     "token_endpoint": "https://mtls.id.example.com/eu/token"
	//   },
	//   "token_endpoint_auth_methods_supported": [
	//     "tls_client_auth",
	//     "self_signed_tls_client_auth",
	//     "private_key_jwt"
	//   ],
	//   "tls_client_certificate_bound_access_tokens": true
	// }
}
