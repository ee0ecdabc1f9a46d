package bench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

// Audience and Scope are what every token is for, and Path is where.
const (
	Audience = "https://api.example.com"
	Scope    = "orders.read"
	Path     = "/orders"
)

// API is what an API knows of its issuer. It can be handed to another process as JSON.
type API struct {
	Algorithm   string          // of the tokens; the only one that is accepted
	Issuer      string          // the iss
	JWKSURL     string          // where the keys are
	JWKS        json.RawMessage // the keys themselves
	Certificate []byte          // of the issuer's server, in DER
}

// Side is one way to protect a handler.
type Side struct {
	Name   string
	Module string // whose version counts; empty for popauth and for what uses several
	ByHand string // what its user writes for himself so that the answers are the same

	// Protect makes the middleware. What it starts ends with the context.
	Protect func(context.Context, API) (func(http.Handler) http.Handler, error)
}

// Version is that of the side's module in this program.
func (s Side) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || s.Module == "" {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == s.Module {
			return m.Version
		}
	}
	return ""
}

// TokenSides authenticate by the token alone, which is not bound to anything.
func TokenSides() []Side {
	return []Side{
		{Name: "popauth", Protect: popauthToken(few)},
		{Name: "popauth, repeated token", Protect: popauthToken(usual)},
		{
			Name: "golang-jwt + keyfunc", Module: "github.com/golang-jwt/jwt/v5", Protect: golangJWT,
			ByHand: "the middleware; alg, iss, aud, exp as parser options",
		},
		{
			Name: "echo-jwt", Module: "github.com/labstack/echo-jwt/v4", Protect: echoJWT,
			ByHand: "ParseTokenFunc: golang-jwt + keyfunc as above",
		},
		{Name: "go-oidc", Module: "github.com/coreos/go-oidc/v3", Protect: goOIDC, ByHand: "the middleware"},
		{Name: "zitadel/oidc", Module: "github.com/zitadel/oidc/v3", Protect: zitadel, ByHand: "the middleware; aud"},
		{Name: "hashicorp/cap", Module: "github.com/hashicorp/cap", Protect: hashicorp, ByHand: "the middleware"},
		{
			Name: "go-chi/jwtauth", Module: "github.com/go-chi/jwtauth/v5", Protect: chiJWTAuth,
			ByHand: "the key: one, given; iss and aud as options of jwx",
		},
		{
			Name: "auth0", Module: "github.com/auth0/go-jwt-middleware/v3", Protect: auth0,
			ByHand: "a type for scope and client_id",
		},
	}
}

// ChainSides authenticate, hold the token to the client's certificate (RFC 8705) and ask for a scope.
func ChainSides() []Side {
	return []Side{
		{Name: "popauth", Protect: popauthChain(few)},
		{Name: "popauth, repeated token", Protect: popauthChain(usual)},
		{
			Name: "golang-jwt + keyfunc", Module: "github.com/golang-jwt/jwt/v5", Protect: golangJWTChain,
			ByHand: "the middleware; alg, iss, aud, exp as parser options; certificate, cnf, scope",
		},
	}
}

// DPoPSides authenticate and hold the token to the key of a proof (RFC 9449).
func DPoPSides() []Side {
	return []Side{
		{Name: "popauth", Protect: popauthDPoP(few)},
		{Name: "popauth, repeated token", Protect: popauthDPoP(usual)},
		{
			Name: "auth0, with DPoP", Module: "github.com/auth0/go-jwt-middleware/v3", Protect: auth0DPoP,
			ByHand: "a type for scope and client_id",
		},
	}
}

// Client reaches the issuer.
func (a API) Client() (*http.Client, error) {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		Timeout:   10 * time.Second,
	}, nil
}

// Authority is the certificate of the issuer's server in PEM.
func (a API) Authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate}))
}

// Key is the issuer's key for the algorithm.
func (a API) Key() (kid string, key any, err error) {
	var set struct {
		Keys []struct{ Kid, Alg string }
	}
	if err := json.Unmarshal(a.JWKS, &set); err != nil {
		return "", nil, err
	}
	keys, err := popauth.StaticKeys(a.JWKS)
	if err != nil {
		return "", nil, err
	}
	for _, k := range set.Keys {
		if k.Alg == a.Algorithm {
			t := &jwt.Token{Method: jwt.GetSigningMethod(k.Alg), Header: map[string]any{"alg": k.Alg, "kid": k.Kid}}
			key, err := keys.KeyfuncCtx(context.Background())(t)
			return k.Kid, key, err
		}
	}
	return "", nil, fmt.Errorf("no key for %q", a.Algorithm)
}

// bearer is what all those use that have no middleware of their own.
func bearer(verify func(r *http.Request, token string) (any, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			const scheme = "Bearer "
			header := r.Header.Get("Authorization")
			if len(header) < len(scheme) || header[:len(scheme)] != scheme {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			claims, err := verify(r, header[len(scheme):])
			switch {
			case errors.Is(err, errScope):
				w.WriteHeader(http.StatusForbidden)
			case err != nil:
				w.WriteHeader(http.StatusUnauthorized)
			default:
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
			}
		})
	}
}

type claimsKey struct{}

var (
	errAudience = errors.New("not for this API")
	errBinding  = errors.New("not the caller's token")
	errScope    = errors.New("scope is missing")
)
