package migrate

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/jwtauth/v5"
	"github.com/lestrrat-go/jwx/v2/jwt"

	"github.com/seed-171ab058/popauth"
)

func jwtauthBefore(key any, issuer, audience string, orders http.HandlerFunc) http.Handler {
	tokenAuth := jwtauth.New("ES256", nil, key, jwt.WithIssuer(issuer), jwt.WithAudience(audience))
	r := chi.NewRouter()
	r.Use(jwtauth.Verifier(tokenAuth), jwtauth.Authenticator(tokenAuth))
	r.Get("/orders", func(w http.ResponseWriter, r *http.Request) {
		_, claims, err := jwtauth.FromContext(r.Context())
		if scope, _ := claims["scope"].(string); err != nil || scope != "orders.read" {
			http.Error(w, http.StatusText(http.StatusForbidden), http.StatusForbidden)
			return
		}
		orders(w, r)
	})
	return r
}

func jwtauthAfter(jwks []byte, issuer, audience string, orders http.HandlerFunc) (http.Handler, error) {
	keys, err := popauth.StaticKeys(jwks) // or leave Keys out, and they are fetched from the issuer
	if err != nil {
		return nil, err
	}
	guard, err := popauth.New(popauth.Options{Issuer: issuer, Audience: []string{audience}, Keys: keys})
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Use(guard.Confirm)
	r.With(guard.Authorize(popauth.Scope("orders.read"))).Get("/orders", orders)
	return r, nil
}
