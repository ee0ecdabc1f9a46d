package migrate

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"

	"github.com/seed-171ab058/popauth"
)

func auth0Before(issuer, audience string, client *http.Client) (func(http.Handler) http.Handler, error) {
	issuerURL, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	provider, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuerURL), jwks.WithCacheTTL(5*time.Minute), jwks.WithCustomClient(client))
	if err != nil {
		return nil, err
	}
	jwtValidator, err := validator.New(
		validator.WithKeyFunc(provider.KeyFunc),
		validator.WithAlgorithm(validator.ES256),
		validator.WithIssuer(issuer),
		validator.WithAudience(audience),
		validator.WithAllowedClockSkew(30*time.Second),
	)
	if err != nil {
		return nil, err
	}
	middleware, err := jwtmiddleware.New(jwtmiddleware.WithValidator(jwtValidator))
	if err != nil {
		return nil, err
	}
	return middleware.CheckJWT, nil
}

func auth0After(issuer, audience string, authorities *x509.CertPool) (func(http.Handler) http.Handler, error) {
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: issuer, RootCAs: authorities}) // nil: the system's
	if err != nil {
		return nil, err
	}
	guard, err := popauth.New(popauth.Options{
		Issuer:     issuer, // to the letter: Auth0's ends with a slash
		Audience:   []string{audience},
		Keys:       keys,
		Algorithms: []string{"ES256"},
	})
	if err != nil {
		return nil, err
	}
	return guard.Confirm, nil // Authenticate, while some clients come with bearer tokens
}
