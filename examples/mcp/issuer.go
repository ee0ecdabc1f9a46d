package main

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// registration is what the authorization server knows about a client.
type registration struct {
	secret string
	scopes []string
}

// tokenEndpoint issues tokens by client credentials, and only bound ones: to the key of the request's DPoP proof (RFC
// 9449, section 5), or else to the certificate of the connection (RFC 8705, section 3).
type tokenEndpoint struct {
	issuer   *popauthtest.Issuer
	audience string
	clients  map[string]registration
	auth     *clientauth.Authenticator
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id, secret := basic(r)
	client, known := e.clients[id]
	switch {
	case r.ParseForm() != nil:
		reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	case !known || subtle.ConstantTimeCompare([]byte(secret), []byte(client.secret)) != 1:
		w.Header().Set("WWW-Authenticate", "Basic")
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	case r.PostForm.Get("grant_type") != "client_credentials":
		reply(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	}
	cnf, err := e.confirmation(w.Header(), r)
	if err != nil {
		clientauth.WriteError(w, err)
		return
	}
	scope := strings.Join(slices.DeleteFunc(strings.Fields(r.PostForm.Get("scope")), func(s string) bool {
		return !slices.Contains(client.scopes, s)
	}), " ")
	token := e.issuer.Token(popauthtest.Claims{"aud": e.audience, "client_id": id, "sub": id, "scope": scope, "cnf": cnf})
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": cnf.TokenType(), "expires_in": 300, "scope": scope})
}

// basic returns a client's credentials. They are form-encoded first (RFC 6749, section 2.3.1).
func basic(r *http.Request) (id, secret string) {
	id, secret, _ = r.BasicAuth()
	plain, err := url.QueryUnescape(id)
	if err != nil {
		return "", ""
	}
	if secret, err = url.QueryUnescape(secret); err != nil {
		return "", ""
	}
	return plain, secret
}

func reply(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// confirmation returns what the token is bound to.
func (e *tokenEndpoint) confirmation(h http.Header, r *http.Request) (clientauth.Confirmation, error) {
	cnf, err := e.auth.Proof(h, r)
	if err != nil || cnf.JKT != "" {
		return cnf, err
	}
	c, err := popauth.TLSCertificate().Certificate(r)
	if err != nil || c == nil {
		return cnf, clientauth.ErrProofMissing // neither a proof nor a certificate
	}
	return clientauth.Confirmation{Thumbprint: c.Thumbprint}, nil
}
