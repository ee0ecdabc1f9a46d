package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// tokenEndpoint issues tokens to clients whose certificate is registered, by its thumbprint, and binds the token to
// that certificate (RFC 8705, sections 2.2 and 3).
type tokenEndpoint struct {
	issuer     *popauthtest.Issuer
	registered map[string]string // client_id by thumbprint
}

func (e tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	c, err := popauth.TLSCertificate().Certificate(r)
	if err != nil || c == nil || e.registered[c.Thumbprint] == "" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintln(w, `{"error":"invalid_client"}`)
		return
	}
	id := e.registered[c.Thumbprint]
	token := e.issuer.Token(popauthtest.Claims{
		"aud": audience, "client_id": id, "sub": id, "scope": "orders.read",
		"cnf": popauthtest.Claims{"x5t#S256": c.Thumbprint},
		"exp": time.Now().Unix() + 3600,
	})
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
}

func (w *world) fetchToken(c *popauthtest.Client) (string, error) {
	answer, err := c.HTTP(w.issuer.Server).PostForm(w.issuer.URL+"/token", map[string][]string{"grant_type": {"client_credentials"}})
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK || body.AccessToken == "" {
		return "", errors.New("no token: " + answer.Status)
	}
	return body.AccessToken, nil
}

// stage lets a program use popauthtest as a test does.
type stage struct{ cleanup []func() }

func (s *stage) Helper()                      {}
func (s *stage) Cleanup(f func())             { s.cleanup = append(s.cleanup, f) }
func (s *stage) Fatalf(f string, args ...any) { log.Fatalf(f, args...) }

func (s *stage) close() {
	for _, f := range slices.Backward(s.cleanup) {
		f()
	}
}
