package main

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/seed-171ab058/popauth/popclient"
)

// orders-batch shows its certificate to Keycloak, which knows it by its subject, and gets a token bound to that certificate.
func (w *world) ordersBatch() (*http.Client, error) {
	transport, err := popclient.NewMutualTLS(popclient.MutualTLSOptions{
		Issuer:      w.keycloak.issuer,
		ClientID:    "orders-batch",
		Certificate: popclient.StaticCertificate(w.batch.Certificate), // or CertificateFiles
		Origins:     []string{w.api.url},
		RootCAs:     w.authority.Pool(),
	})
	if err != nil {
		return nil, err
	}
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, nil
}

// orders-job has no certificate. It authenticates by its secret, and gets a token bound to its key.
func (w *world) ordersJob(ctx context.Context) (*http.Client, error) {
	key, err := popclient.GenerateKeyFor(ctx, w.http(nil), w.keycloak.issuer)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		ClientID: "orders-job", ClientSecret: w.secrets.job, TokenURL: w.keycloak.token, AuthStyle: oauth2.AuthStyleInHeader,
	}
	// The key has to be known when the token is obtained: that is what binds it.
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Transport: &popclient.Proofs{Key: key, Base: w.transport(nil)},
		Timeout:   10 * time.Second,
	})
	return &http.Client{Transport: &popclient.DPoP{
		Key: key, Source: config.TokenSource(ctx), Origins: []string{w.api.url}, Base: w.transport(nil),
	}}, nil
}

// orders-plain is a client whose switches are off: Keycloak gives it a bearer token.
func (w *world) ordersPlain(ctx context.Context) *http.Client {
	config := clientcredentials.Config{
		ClientID: "orders-plain", ClientSecret: w.secrets.plain, TokenURL: w.keycloak.token, AuthStyle: oauth2.AuthStyleInHeader,
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, w.http(nil))
	return &http.Client{Transport: &oauth2.Transport{Source: config.TokenSource(ctx), Base: w.transport(nil)}}
}
