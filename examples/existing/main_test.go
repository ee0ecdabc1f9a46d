package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/popauthtest"
)

func TestService(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	h, err := routes(secret)
	if err != nil {
		t.Fatal(err)
	}
	owner, thief := popauthtest.SelfSigned(t, "owner"), popauthtest.SelfSigned(t, "thief")
	sign := func(secret []byte, cnf popauthtest.Claims) string {
		claims := jwt.MapClaims{"sub": "u", "aud": "orders", "exp": time.Now().Add(time.Minute).Unix()}
		if cnf != nil {
			claims["cnf"] = cnf
		}
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	bound := sign(secret, popauthtest.Claims{"x5t#S256": owner.Thumbprint()})
	for _, tt := range []struct {
		name, method, token string
		client              *popauthtest.Client
		want                int
	}{
		{"owner", "PUT", bound, owner, 200},
		{"thief", "PUT", bound, thief, 401},
		{"thief without certificate", "PUT", bound, nil, 401},
		{"owner, reading", "GET", bound, owner, 200},
		{"thief, reading", "GET", bound, thief, 401},
		{"thief without certificate, reading", "GET", bound, nil, 401},
		{"unbound, reading", "GET", sign(secret, nil), nil, 200},
		{"unbound", "PUT", sign(secret, nil), nil, 401},
		{"forged", "GET", sign([]byte("another secret, of 32 bytes too."), nil), nil, 401},
		{"none", "GET", "", nil, 401},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, tt.client.Request(tt.method, "/orders", tt.token))
		if w.Code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}

// The context of a verified request opens nothing for another token.
func TestAnotherTokenInTheContext(t *testing.T) {
	ctx := context.WithValue(t.Context(), tokenKey{}, &jwt.Token{Raw: "e30.eyJzdWIiOiJhIn0.AA", Valid: true})
	if _, err := (verified{}).Verify(ctx, "e30.eyJzdWIiOiJhIn0.AA"); err != nil {
		t.Error(err)
	}
	if got, err := (verified{}).Verify(ctx, "e30.eyJzdWIiOiJhIn0.BA"); err == nil {
		t.Errorf("got %v, want an error", got)
	}
	if got, err := (verified{}).Verify(t.Context(), "e30.eyJzdWIiOiJhIn0.AA"); err == nil {
		t.Errorf("got %v, want an error", got)
	}
}
