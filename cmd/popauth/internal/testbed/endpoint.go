package testbed

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-171ab058/popauth/clientauth"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// token is the token endpoint: client_credentials alone, by certificate, secret or assertion. The token is bound to the key of
// the proof, else to the certificate, else to nothing.
func (b *Bed) token(w http.ResponseWriter, r *http.Request) {
	confirmation, code, why := b.grant(w, r)
	if code != "" {
		b.log.Warn("token refused", "error", code, "why", why)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		status := http.StatusBadRequest
		if code == "invalid_client" {
			status = http.StatusUnauthorized // RFC 6749, section 5.2
			w.Header().Set("WWW-Authenticate", `Basic realm="popauth"`)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
		return
	}
	if confirmation == nil {
		return // it is answered
	}
	scope := r.PostForm.Get("scope")
	if scope == "" {
		scope = readScope
	}
	claims := popauthtest.Claims{
		"aud": Audience, "client_id": ClientID, "sub": ClientID, "scope": scope, "exp": time.Now().Add(lifetime).Unix(),
	}
	if *confirmation != (clientauth.Confirmation{}) {
		claims["cnf"] = *confirmation
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": b.issuer.Token(claims), "token_type": confirmation.TokenType(), "expires_in": int(lifetime.Seconds()),
		"scope": scope,
	})
}

// grant decides. Nil without a code says that the request is answered.
func (b *Bed) grant(w http.ResponseWriter, r *http.Request) (*clientauth.Confirmation, string, string) {
	_, err := b.auth.Authenticate(r)
	switch {
	case errors.Is(err, clientauth.ErrOtherMethod):
		if why := b.authenticate(r); why != "" {
			return nil, "invalid_client", why
		}
	case err != nil:
		b.log.Warn("token refused", "why", err.Error())
		clientauth.WriteError(w, err)
		return nil, "", ""
	}
	switch {
	case r.PostForm.Get("grant_type") != "client_credentials":
		return nil, "unsupported_grant_type", "want client_credentials"
	case slices.ContainsFunc(strings.Fields(r.PostForm.Get("scope")), func(s string) bool { return s != readScope && s != writeScope }):
		return nil, "invalid_scope", "there are " + readScope + " and " + writeScope
	case slices.ContainsFunc(r.PostForm["resource"], func(s string) bool { return s != Audience }):
		return nil, "invalid_target", "there is one API: " + Audience // RFC 8707, section 2
	}
	key, err := b.auth.Proof(w.Header(), r)
	if err != nil {
		b.log.Warn("token refused", "why", err.Error())
		clientauth.WriteError(w, err)
		return nil, "", ""
	}
	if key == (clientauth.Confirmation{}) {
		key = b.auth.Confirmation(r)
	}
	return &key, "", ""
}

// authenticate is for what isn't a certificate. It returns why not, "" if the client is who it says.
func (b *Bed) authenticate(r *http.Request) string {
	if err := r.ParseForm(); err != nil {
		return "the form is malformed"
	}
	id, secret, basic := r.BasicAuth()
	assertion := r.PostForm.Get("client_assertion")
	ways := 0
	for _, is := range []bool{basic, r.PostForm.Has("client_secret"), r.PostForm.Has("client_assertion")} {
		if is {
			ways++
		}
	}
	switch {
	case ways != 1:
		return "want one of a secret, under Basic or in the form, and an assertion (RFC 6749, section 2.3)"
	case assertion != "":
		return b.verify(assertion, r)
	case basic:
		var wrong [2]error
		id, wrong[0] = url.QueryUnescape(id) // RFC 6749, section 2.3.1
		secret, wrong[1] = url.QueryUnescape(secret)
		if errors.Join(wrong[:]...) != nil {
			return "Basic credentials that are not form-encoded"
		}
	default:
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != ClientID || subtle.ConstantTimeCompare([]byte(secret), []byte(b.secret)) != 1 {
		return "unknown client, or another secret"
	}
	return ""
}

// verify takes a JWT of the client's once (RFC 7523, section 3).
func (b *Bed) verify(assertion string, r *http.Request) string {
	if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "client_assertion_type is another"
	}
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "assertion: no JWS with ES256"
	}
	payload, err := signed.Verify(&b.assertion.PublicKey)
	if err != nil {
		return "assertion: signed by another key"
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience any    `json:"aud"` // a string, or several
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "assertion: claims of other types than RFC 7523 has"
	}
	audience, _ := claims.Audience.([]any)
	if one, ok := claims.Audience.(string); ok {
		audience = []any{one}
	}
	switch {
	case claims.Issuer != ClientID || claims.Subject != ClientID:
		return "assertion: iss and sub aren't the client"
	case !slices.Contains(audience, any(b.id.URL)) && !slices.Contains(audience, any(b.id.URL+"/token")):
		return "assertion: for another audience"
	case !time.Now().Before(time.Unix(claims.Expires, 0)):
		return "assertion: expired, or without exp"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if claims.ID == "" || b.seen[claims.ID] || len(b.seen) > 100_000 {
		return "assertion: without jti, or used before"
	}
	b.seen[claims.ID] = true
	return ""
}
