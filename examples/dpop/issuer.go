package main

import (
	"encoding/json"
	"net/http"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// noLogin replaces the authorization_code with PKCE (RFC 7636) of a real page: here anyone with a key is the user.
const noLogin = "urn:example:no-login"

// tokenEndpoint issues tokens to a public client, and binds each to the key of the request's DPoP proof (RFC 9449,
// section 5).
type tokenEndpoint struct {
	issuer   *popauthtest.Issuer
	audience string
	auth     *clientauth.Authenticator
}

func newTokenEndpoint(issuer *popauthtest.Issuer, login, audience string) (*tokenEndpoint, error) {
	proofs, err := dpop.New(dpop.Options{BaseURL: login, Algorithms: []string{"ES256"}})
	if err != nil {
		return nil, err
	}
	auth, err := clientauth.New(clientauth.Options{DPoP: proofs})
	return &tokenEndpoint{issuer, audience, auth}, err
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case r.ParseForm() != nil, r.PostForm.Get("client_id") != "spa":
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	case r.PostForm.Get("grant_type") != noLogin:
		answer(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	cnf, err := e.auth.Proof(w.Header(), r)
	if err == nil && cnf.JKT == "" {
		err = clientauth.ErrProofMissing // there are no other tokens here
	}
	if err != nil {
		clientauth.WriteError(w, err)
		return
	}
	token := e.issuer.Token(popauthtest.Claims{
		"aud": e.audience, "client_id": "spa", "sub": "alice", "scope": "orders.read", "cnf": cnf,
	})
	answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": cnf.TokenType(), "expires_in": 300})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
