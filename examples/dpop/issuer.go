package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	proofAge = time.Minute
	skew     = 10 * time.Second

	// noLogin stands where a real page has authorization_code with PKCE (RFC 7636): here whoever has a key is the user.
	noLogin = "urn:example:no-login"
)

// tokenEndpoint issues tokens to a public client, and binds each to the key of the request's DPoP proof (RFC 9449,
// section 5).
type tokenEndpoint struct {
	issuer   *popauthtest.Issuer
	url      string // its own
	audience string
	replay   popauth.ReplayStore
}

func newTokenEndpoint(issuer *popauthtest.Issuer, url, audience string) (*tokenEndpoint, error) {
	replay, err := popauth.NewReplayMemory(popauth.ReplayMemoryOptions{})
	return &tokenEndpoint{issuer, url, audience, replay}, err
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
	cnf, err := e.confirmation(r)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_dpop_proof"})
		return
	}
	token := e.issuer.Token(popauthtest.Claims{
		"aud": e.audience, "client_id": "spa", "sub": "alice", "scope": "orders.read", "cnf": cnf,
	})
	answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "DPoP", "expires_in": 300})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// proofClaims are jti and iat, and what a proof says about its request.
type proofClaims struct {
	jwt.RegisteredClaims
	Method string `json:"htm"`
	URL    string `json:"htu"`
}

// confirmation checks the proof of a token request (RFC 9449, section 4.3) and returns what binds the token to its
// key. It is short because it takes ES256 alone, and an htu only as this endpoint writes its own. A Guard's DPoP checks
// proofs that belong to a token, which is not there yet.
func (e *tokenEndpoint) confirmation(r *http.Request) (clientauth.Confirmation, error) {
	none := clientauth.Confirmation{}
	headers := r.Header.Values("DPoP")
	if len(headers) != 1 { // item 1
		return none, errors.New("not one DPoP header")
	}
	var claims proofClaims
	// Items 2, 5 and 6. When a proof is in force is said below: it has no exp.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	proof, err := parser.ParseWithClaims(headers[0], &claims, publicKey)
	if err != nil {
		return none, err
	}
	_, extended := proof.Header["crit"]
	now := time.Now()
	switch {
	case proof.Header["typ"] != "dpop+jwt": // item 4
		return none, errors.New("not a proof")
	case extended: // RFC 7515, section 4.1.11: none is understood here
		return none, errors.New("extension")
	case claims.ID == "" || len(claims.ID) > 256 || claims.IssuedAt == nil: // item 3
		return none, errors.New("claim missing")
	case claims.Method != r.Method, claims.URL != e.url: // items 8 and 9
		return none, errors.New("proof for another request")
	case claims.IssuedAt.After(now.Add(skew)), claims.IssuedAt.Before(now.Add(-proofAge - skew)): // item 11
		return none, errors.New("too old or from the future")
	}
	// The part of the header that has just verified the signature. Item 7: one with a private key is refused.
	jwk, err := json.Marshal(proof.Header["jwk"])
	if err != nil {
		return none, err
	}
	cnf, err := clientauth.ConfirmationJWK(jwk)
	if err != nil {
		return none, err
	}
	// Section 11.1.
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
