package bench

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-chi/jwtauth/v5"
	cap "github.com/hashicorp/cap/jwt"
	"github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	zitadeloidc "github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func goOIDC(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	keys := oidc.NewRemoteKeySet(oidc.ClientContext(ctx, client), a.JWKSURL)
	verifier := oidc.NewVerifier(a.Issuer, keys, &oidc.Config{ClientID: Audience, SupportedSigningAlgs: []string{a.Algorithm}})
	return bearer(func(r *http.Request, token string) (any, error) {
		t, err := verifier.Verify(r.Context(), token)
		if err != nil {
			return nil, err
		}
		claims := struct {
			ClientID string `json:"client_id"`
			Scope    string `json:"scope"`
		}{}
		return &claims, t.Claims(&claims)
	}), nil
}

func zitadel(_ context.Context, a API) (func(http.Handler) http.Handler, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	verifier := op.NewAccessTokenVerifier(a.Issuer, rp.NewRemoteKeySet(client, a.JWKSURL),
		op.WithSupportedAccessTokenSigningAlgorithms(a.Algorithm))
	return bearer(func(r *http.Request, token string) (any, error) {
		claims, err := op.VerifyAccessToken[*zitadeloidc.AccessTokenClaims](r.Context(), token, verifier)
		if err == nil && !slices.Contains(claims.Audience, Audience) {
			err = errAudience
		}
		return claims, err
	}), nil
}

func hashicorp(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
	keys, err := cap.NewJSONWebKeySet(ctx, a.JWKSURL, a.Authority())
	if err != nil {
		return nil, err
	}
	validator, err := cap.NewValidator(keys)
	if err != nil {
		return nil, err
	}
	expected := cap.Expected{
		Issuer: a.Issuer, Audiences: []string{Audience}, SigningAlgorithms: []cap.Alg{cap.Alg(a.Algorithm)},
	}
	return bearer(func(r *http.Request, token string) (any, error) {
		return validator.Validate(r.Context(), token, expected)
	}), nil
}

func chiJWTAuth(_ context.Context, a API) (func(http.Handler) http.Handler, error) {
	_, key, err := a.Key()
	if err != nil {
		return nil, err
	}
	auth := jwtauth.New(a.Algorithm, nil, key, jwt.WithIssuer(a.Issuer), jwt.WithAudience(Audience))
	verify, authenticate := jwtauth.Verifier(auth), jwtauth.Authenticator(auth)
	return func(next http.Handler) http.Handler { return verify(authenticate(next)) }, nil
}

func auth0(_ context.Context, a API) (func(http.Handler) http.Handler, error) {
	return a.auth0(jwtmiddleware.DPoPDisabled)
}

func auth0DPoP(_ context.Context, a API) (func(http.Handler) http.Handler, error) {
	return a.auth0(jwtmiddleware.DPoPRequired)
}

func (a API) auth0(mode jwtmiddleware.DPoPMode) (func(http.Handler) http.Handler, error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(a.Issuer)
	if err != nil {
		return nil, err
	}
	location, err := url.Parse(a.JWKSURL)
	if err != nil {
		return nil, err
	}
	keys, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuer), jwks.WithCustomJWKSURI(location), jwks.WithCustomClient(client))
	if err != nil {
		return nil, err
	}
	v, err := validator.New(validator.WithKeyFunc(keys.KeyFunc), validator.WithAlgorithm(validator.SignatureAlgorithm(a.Algorithm)),
		validator.WithIssuer(a.Issuer), validator.WithAudience(Audience),
		validator.WithCustomClaims(func() *accessClaims { return &accessClaims{} }))
	if err != nil {
		return nil, err
	}
	middleware, err := jwtmiddleware.New(jwtmiddleware.WithValidator(v), jwtmiddleware.WithDPoPMode(mode))
	if err != nil {
		return nil, err
	}
	return middleware.CheckJWT, nil
}
