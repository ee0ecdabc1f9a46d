package pages_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

func listOrders(http.ResponseWriter, *http.Request) {}

// list is one of withdrawn tokens.
type list map[[2]string]bool

func (l list) Has(_ context.Context, issuer, id string) (bool, error) {
	return l[[2]string{issuer, id}], nil
}

func fapi(withdrawn list) *popauth.Guard {
	proofs, err := dpop.New(dpop.Options{BaseURL: "https://api.example.com"}.FAPI2())
	if err != nil {
		log.Fatal(err)
	}
	guard, err := popauth.New(popauth.Options{
		Issuer:     "https://id.example.com",
		Audience:   []string{"https://api.example.com"},
		Confirmers: []popauth.Confirmer{popauth.MutualTLS{}, proofs},
		Revoked: func(ctx context.Context, t *popauth.Token) (bool, error) {
			return withdrawn.Has(ctx, t.Issuer(), t.TokenID()) // your own list; an error is answered with 503
		},
	}.FAPI2())
	if err != nil {
		log.Fatal(err)
	}
	return guard
}

func fapiServer(mux http.Handler) *http.Server {
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		Handler:           popauth.RequestLine{}.Handler(mux),
		TLSConfig: &tls.Config{
			ClientAuth: tls.RequestClientCert,
			MinVersion: tls.VersionTLS12,
			CipherSuites: []uint16{ // of TLS 1.2: RFC 9325, section 4.2
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
				tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			},
		},
	}
	return server
}

// What docs/fapi.md has for New keeps to the profile.
func TestFAPI(t *testing.T) {
	w := httptest.NewRecorder()
	server := fapiServer(fapi(list{}).Authenticate(http.HandlerFunc(listOrders)))
	server.Handler.ServeHTTP(w, (*popauthtest.Client)(nil).Request("GET", "/orders", ""))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", w.Code)
	}
}

func byJWT(ctx context.Context, signer crypto.Signer) (*http.Client, error) {
	const server, endpoint = "https://id.example.com", "https://id.example.com/token"
	registered, err := popclient.NewKey(signer, "ES256") // any crypto.Signer; the server knows its public key
	if err != nil {
		return nil, err
	}
	key, err := popclient.GenerateKey("ES256") // what tokens are bound to
	if err != nil {
		return nil, err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: &popclient.Proofs{Key: key, Base: &popclient.Authenticated{
			ClientID:       "orders-job",
			Authentication: popclient.PrivateKeyJWT{Key: registered, KeyID: "2026-11", Audience: server},
			Endpoints:      []string{endpoint},
		}},
		Timeout: 10 * time.Second,
	})
	config := clientcredentials.Config{
		ClientID:  "orders-job",
		TokenURL:  endpoint,
		Scopes:    []string{"orders.read"},
		AuthStyle: oauth2.AuthStyleInParams, // Authenticated authenticates
	}
	client := &http.Client{Transport: &popclient.DPoP{
		Key: key, Source: config.TokenSource(ctx), Origins: []string{"https://api.example.com"},
	}}
	return client, nil
}

// The client of popclient's page asks nobody for a token before it has seen where it is to go.
func TestByJWT(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	client, err := byJWT(t.Context(), signer)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get("https://other.example.com/orders")
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "not meant for this origin") {
		t.Errorf("got %v, want that it stays with its origins", err)
	}
}
