package migrate

import (
	"context"
	"net/http"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

type claimsKey struct{}

func keyfuncBefore(keys keyfunc.Keyfunc, issuer, audience string) func(http.Handler) http.Handler {
	parser := jwt.NewParser(jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired())
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			raw, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			token, err := parser.Parse(raw, keys.KeyfuncCtx(r.Context()))
			if err != nil {
				http.Error(w, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, token.Claims)))
		})
	}
}

func keyfuncAfter(keys keyfunc.Keyfunc, issuer, audience string) (func(http.Handler) http.Handler, error) {
	guard, err := popauth.New(popauth.Options{
		Issuer:   issuer,
		Audience: []string{audience},
		Keys:     keys, // as it is; popauth.RemoteKeys, which you get without it, also waits, backs off and withdraws
	})
	if err != nil {
		return nil, err
	}
	return guard.Confirm, nil // in handlers: popauth.FromContext, popauth.Claims[T]
}
