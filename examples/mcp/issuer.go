package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

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
	replay   popauth.ReplayStore
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
	kind, cnf, err := e.confirmation(r)
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_dpop_proof"})
		return
	}
	scope := strings.Join(slices.DeleteFunc(strings.Fields(r.PostForm.Get("scope")), func(s string) bool {
		return !slices.Contains(client.scopes, s)
	}), " ")
	token := e.issuer.Token(popauthtest.Claims{"aud": e.audience, "client_id": id, "sub": id, "scope": scope, "cnf": cnf})
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": kind, "expires_in": 300, "scope": scope})
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

// confirmation returns what the token is bound to, and its type.
func (e *tokenEndpoint) confirmation(r *http.Request) (kind string, cnf clientauth.Confirmation, err error) {
	if proofs := r.Header.Values("DPoP"); len(proofs) > 0 {
		cnf, err = e.proven(r, proofs)
		return "DPoP", cnf, err
	}
	c, err := popauth.TLSCertificate().Certificate(r)
	if err != nil || c == nil {
		return "", cnf, errors.New("neither a proof nor a certificate")
	}
	return "Bearer", clientauth.ConfirmationX509(c.Leaf), nil
}

// proofClaims are jti and iat, and what a proof says about its request.
type proofClaims struct {
	jwt.RegisteredClaims
	Method string `json:"htm"`
	URL    string `json:"htu"`
}

const proofAge, skew = time.Minute, 10 * time.Second

// proven checks a proof (RFC 9449, section 4.3) as far as this endpoint's clients make them: ES256, and htu to the
// letter.
func (e *tokenEndpoint) proven(r *http.Request, proofs []string) (clientauth.Confirmation, error) {
	none := clientauth.Confirmation{}
	if len(proofs) != 1 {
		return none, errors.New("not one proof")
	}
	var claims proofClaims
	// When a proof is in force is said below: it has no exp.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	proof, err := parser.ParseWithClaims(proofs[0], &claims, publicKey)
	if err != nil {
		return none, err
	}
	_, extended := proof.Header["crit"]
	now := time.Now()
	switch {
	case proof.Header["typ"] != "dpop+jwt", extended:
		return none, errors.New("not a proof")
	case claims.ID == "" || len(claims.ID) > 256 || claims.IssuedAt == nil:
		return none, errors.New("claim missing")
	case claims.Method != r.Method, claims.URL != e.issuer.URL+"/token":
		return none, errors.New("proof for another request")
	case claims.IssuedAt.After(now.Add(skew)), claims.IssuedAt.Before(now.Add(-proofAge - skew)):
		return none, errors.New("too old or from the future")
	}
	jwk, err := json.Marshal(proof.Header["jwk"])
	if err != nil {
		return none, err
	}
	cnf, err := clientauth.ConfirmationJWK(jwk)
	if err != nil {
		return none, err
	}
	fresh, err := e.replay.Use(r.Context(), cnf.JKT+" "+claims.ID, claims.IssuedAt.Add(proofAge+skew+time.Second))
	if err == nil && !fresh {
		err = errors.New("proof used before")
	}
	return cnf, err
}

// publicKey is the P-256 key in a proof's header (RFC 7518, section 6.2.1).
func publicKey(proof *jwt.Token) (any, error) {
	jwk, _ := proof.Header["jwk"].(map[string]any)
	if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
		return nil, errors.New("no P-256 key")
	}
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		s, _ := jwk[name].(string)
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(b) != 32 {
			return nil, fmt.Errorf("coordinate %s malformed", name)
		}
		point = slices.Concat(point, b)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}
