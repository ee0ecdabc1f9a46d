package bench

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
)

// accessClaims are what those decode a token into who may choose.
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID     string `json:"client_id"`
	Scope        string `json:"scope"`
	Confirmation struct {
		Thumbprint string `json:"x5t#S256"`
	} `json:"cnf"`
}

// Validate makes accessClaims the custom claims of auth0.
func (*accessClaims) Validate(context.Context) error { return nil }

// parse is golang-jwt with keyfunc as one writes it by hand.
func (a API) parse(ctx context.Context) (func(r *http.Request, token string) (*accessClaims, error), error) {
	client, err := a.Client()
	if err != nil {
		return nil, err
	}
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{a.JWKSURL}, keyfunc.Override{Client: client})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{a.Algorithm}), jwt.WithIssuer(a.Issuer),
		jwt.WithAudience(Audience), jwt.WithExpirationRequired())
	return func(r *http.Request, token string) (*accessClaims, error) {
		claims := &accessClaims{}
		if _, err := parser.ParseWithClaims(token, claims, keys.KeyfuncCtx(r.Context())); err != nil {
			return nil, err
		}
		return claims, nil
	}, nil
}

func golangJWT(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
	parse, err := a.parse(ctx)
	if err != nil {
		return nil, err
	}
	return bearer(func(r *http.Request, token string) (any, error) { return parse(r, token) }), nil
}

func golangJWTChain(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
	parse, err := a.parse(ctx)
	if err != nil {
		return nil, err
	}
	return bearer(func(r *http.Request, token string) (any, error) {
		claims, err := parse(r, token)
		if err != nil {
			return nil, err
		}
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return nil, errBinding
		}
		sum := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
		thumbprint, err := base64.RawURLEncoding.DecodeString(claims.Confirmation.Thumbprint)
		if err != nil || subtle.ConstantTimeCompare(sum[:], thumbprint) != 1 {
			return nil, errBinding
		}
		if !slices.Contains(strings.Fields(claims.Scope), Scope) {
			return nil, errScope
		}
		return claims, nil
	}), nil
}

func echoJWT(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
	parse, err := a.parse(ctx)
	if err != nil {
		return nil, err
	}
	authenticate, err := echojwt.Config{
		ParseTokenFunc: func(c echo.Context, token string) (any, error) { return parse(c.Request(), token) },
		// Echo would log an internal error for nothing.
		ErrorHandler: func(c echo.Context, err error) error {
			if err == nil {
				return errors.New("no error")
			}
			return echo.ErrUnauthorized
		},
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		e := echo.New()
		e.Use(authenticate)
		e.GET(Path, echo.WrapHandler(next))
		return e
	}, nil
}
