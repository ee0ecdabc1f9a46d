package lab

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/issuers"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// VerifierOf is a Verifier of the issuer's JWTs, by its real endpoints.
func VerifierOf(tb testing.TB, issuer *popauthtest.Issuer) popauth.Verifier {
	tb.Helper()
	o := issuer.Options()
	v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Now: o.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func NewIssuers(tb testing.TB, o issuers.Options) *issuers.Verifier {
	tb.Helper()
	v, err := issuers.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// TokenFrom is a token that claims to be an issuer's.
func TokenFrom(iss string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(`{"iss":"`+iss+`"}`)) + ".AAAA"
}

// Estate is many tenants with one signing key, each with keys and a Verifier of its own.
type Estate struct {
	*MemoryIssuer
	Resolves atomic.Int64
	Down     atomic.Bool // Resolve's database
	options  popauth.JWTOptions
}

func (e *Estate) Tenant(n int) string { return fmt.Sprintf("https://tenant-%d.example.com", n) }

// RoundTrip answers for each tenant.
func (e *Estate) RoundTrip(r *http.Request) (*http.Response, error) {
	host := "https://" + r.URL.Host
	if strings.HasSuffix(r.URL.Path, "openid-configuration") {
		e.Calls.Add(1)
		return Answer(200, []byte(Metadata(host, host+"/jwks"))), nil
	}
	return e.MemoryIssuer.RoundTrip(r)
}

func (e *Estate) Resolve(_ context.Context, iss string) (popauth.Verifier, error) {
	e.Resolves.Add(1)
	switch {
	case e.Down.Load():
		return nil, errors.New("the database is down")
	case !strings.HasPrefix(iss, "https://tenant-"):
		return nil, popauth.ErrTokenIssuer
	}
	keys, err := popauth.NewRemoteKeys(popauth.RemoteKeysOptions{Issuer: iss, Client: &http.Client{Transport: e}})
	if err != nil {
		return nil, err
	}
	o := e.options
	o.Issuer, o.Audience, o.Keys = iss, []string{popauthtest.Audience}, keys
	return popauth.NewJWTVerifier(o)
}

func (e *Estate) TokenOf(n int, claims ...popauthtest.Claims) string {
	all := append([]popauthtest.Claims{{"iss": e.Tenant(n), "exp": time.Now().Add(1000 * time.Hour).Unix()}}, claims...)
	return e.Token(all...)
}

// Unsigned is a token of a tenant that nobody has signed.
func (e *Estate) Unsigned(n int) string { return WithBadSignature(e.TokenOf(n)) }

func WithBadSignature(token string) string { return token[:len(token)-8] + "AAAAAAAA" }
