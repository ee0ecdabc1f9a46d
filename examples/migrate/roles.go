package migrate

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

type hmacClaims struct {
	jwt.RegisteredClaims

	Roles []string `json:"roles"`
}

func hs256Before(secret []byte, audience string) func(http.Handler) http.Handler {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var claims hmacClaims
			raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			_, err := parser.ParseWithClaims(raw, &claims, func(*jwt.Token) (any, error) { return secret, nil })
			if err != nil || !slices.Contains(claims.Roles, "orders") {
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

type roles struct {
	Roles []string `json:"roles"`
}

func hs256After(keys popauth.KeySource, issuer, audience string) (func(http.Handler) http.Handler, error) {
	guard, err := popauth.New(popauth.Options{Issuer: issuer, Audience: []string{audience}, Keys: keys})
	if err != nil {
		return nil, err
	}
	role := popauth.ClaimsPolicy(func(c roles) error {
		if !slices.Contains(c.Roles, "orders") {
			return errors.New("no role orders")
		}
		return nil
	})
	return guard.Authorize(popauth.Bound(), role), nil
}
