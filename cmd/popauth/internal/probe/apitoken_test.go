package probe

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/proxy"
)

// verify returns the claims of a token that the issuer has signed for this API.
func (a *api) verify(text string) (map[string]any, error) {
	bad := invalid("invalid_token")
	if a.has("token-malleable") {
		text = strings.TrimRight(text, "=.")
	}
	if a.has("token-must-refuse") && text == "refuse-me" {
		return nil, nil
	}
	parts := strings.Split(text, ".")
	if a.has("token-signature-missing") && len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) != 3 {
		return nil, bad
	}
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil || *into == nil {
			return nil, bad
		}
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || strings.ContainsAny(parts[2], "\r\n") || !a.genuine(header, claims, parts[0]+"."+parts[1], signature) {
		return nil, bad
	}
	exp, _ := claims["exp"].(float64)
	if (exp == 0 || time.Unix(int64(exp), 0).Before(time.Now())) && !a.has("token-expired") {
		return nil, bad
	}
	if claims["aud"] != "https://api.example.com" {
		return nil, bad
	}
	return claims, nil
}

func (a *api) genuine(header, claims map[string]any, input string, signature []byte) bool {
	alg, _ := header["alg"].(string)
	kid, _ := header["kid"].(string)
	switch a.hole {
	case "token-alg-none":
		if strings.EqualFold(alg, "none") {
			return true
		}
	case "token-signature-missing":
		if len(signature) == 0 {
			return true
		}
	case "token-signature-zero":
		if bytes.Equal(signature, make([]byte, len(signature))) {
			return true
		}
	case "token-signature-changed", "token-cnf-replaced":
		return true
	case "token-claims-changed":
		if claims["popauth_probe"] == true {
			return true
		}
	case "token-cnf-removed":
		if claims["cnf"] == nil {
			return true
		}
	case "token-hmac-empty":
		return a.verified(alg, input, signature) || isMAC(alg, input, signature, nil)
	case "token-hmac-public":
		for _, k := range a.keys.Keys {
			der, _ := x509.MarshalPKIXPublicKey(k.Key)
			if isMAC(alg, input, signature, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})) {
				return true
			}
		}
	case "token-kid-path":
		if kid == "/dev/null" && isMAC(alg, input, signature, nil) {
			return true
		}
	case "token-key-in-header", "token-is-proof":
		if a.has("token-is-proof") && header["typ"] != "dpop+jwt" {
			break
		}
		var k jose.JSONWebKey
		b, _ := json.Marshal(header["jwk"])
		if json.Unmarshal(b, &k) == nil && jwt.SigningMethodES256.Verify(input, signature, k.Key) == nil {
			return true
		}
	case "token-certificate-in-header":
		if chain := texts(header["x5c"]); len(chain) > 0 {
			der, _ := base64.StdEncoding.DecodeString(chain[0])
			if c, err := x509.ParseCertificate(der); err == nil && jwt.SigningMethodES256.Verify(input, signature, c.PublicKey) == nil {
				return true
			}
		}
	case "token-other-key":
		return alg == "ES256"
	}
	return header["typ"] == "at+jwt" && a.verified(alg, input, signature)
}

func (a *api) verified(alg, input string, signature []byte) bool {
	for _, k := range a.keys.Keys {
		if m := jwt.GetSigningMethod(alg); k.Algorithm == alg && m != nil && m.Verify(input, signature, k.Key) == nil {
			return true
		}
	}
	return false
}

func isMAC(alg, input string, signature, secret []byte) bool {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(input))
	return alg == "HS256" && hmac.Equal(m.Sum(nil), signature)
}

// confirm looks for what the token is bound to.
func (a *api) confirm(r *http.Request, scheme, text string, claims map[string]any) error {
	if a.hole == "token-must-refuse" && claims == nil {
		return nil
	}
	cnf, _ := claims["cnf"].(map[string]any)
	x5t, _ := cnf["x5t#S256"].(string)
	jkt, _ := cnf["jkt"].(string)
	for name := range cnf {
		if name != "x5t#S256" && name != "jkt" && !a.has("token-cnf-unknown") {
			return invalid("invalid_token")
		}
	}
	switch {
	case a.has("token-in-query", "two-tokens", "token-in-body", "token-in-cookie", "token-in-header") && r.Header.Get("DPoP") == "":
	case a.has("token-cnf-replaced", "head-stolen") && (a.hole != "head-stolen" || r.Method == http.MethodHead):
		return nil
	case len(cnf) == 0 && !a.has("token-cnf-removed", "token-not-bound"):
		return invalid("invalid_token")
	}
	if x5t != "" {
		if scheme == "DPoP" {
			if a.has("certificate-dpop-scheme") && r.Header.Get("DPoP") != "" {
				return nil
			}
			return invalid("invalid_token")
		}
		if !a.presented(r, x5t, text) {
			return invalid("invalid_token")
		}
	}
	if jkt != "" {
		return a.prove(r, scheme, text, jkt)
	}
	return nil
}

// presented looks for the certificate of the token.
func (a *api) presented(r *http.Request, x5t, token string) bool {
	if strings.HasPrefix(a.hole, "header-") && a.inHeaders(r, x5t) {
		return true
	}
	chain := r.TLS.PeerCertificates
	none := len(chain) == 0
	switch {
	case a.has("certificate-missing") && none, a.has("certificate-http2") && none && r.ProtoMajor == 2,
		a.has("certificate-http10") && none && r.ProtoMinor == 0 && r.ProtoMajor == 1,
		a.has("certificate-tls12") && none && r.TLS.Version == tls.VersionTLS12,
		a.has("certificate-no-server-name") && none && r.TLS.ServerName == "",
		a.has("certificate-resumed-none") && none && r.TLS.DidResume,
		a.has("certificate-other") && !none, a.has("certificate-http2-other") && !none && r.ProtoMajor == 2,
		a.has("certificate-head") && r.Method == http.MethodHead,
		a.has("certificate-resumed") && r.TLS.DidResume, a.has("certificate-resumed-tls12") && r.TLS.DidResume &&
			r.TLS.Version == tls.VersionTLS12:
		return true
	}
	if a.has("certificate-second-connection") {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.confirmed[token] {
			return true
		}
		a.confirmed[token] = !none && thumbprint(chain[0].Raw) == x5t
	}
	if none {
		return false
	}
	leaf := chain[0]
	switch a.hole {
	case "certificate-same-subject":
		return bytes.Equal(leaf.RawSubject, a.owner.RawSubject)
	case "certificate-same-serial":
		return bytes.Equal(leaf.RawIssuer, a.owner.RawIssuer) && leaf.SerialNumber.Cmp(a.owner.SerialNumber) == 0
	case "certificate-same-key":
		return bytes.Equal(leaf.RawSubjectPublicKeyInfo, a.owner.RawSubjectPublicKeyInfo)
	case "certificate-in-chain":
		return slices.ContainsFunc(chain, func(c *x509.Certificate) bool { return thumbprint(c.Raw) == x5t })
	}
	return thumbprint(leaf.Raw) == x5t
}

// transport has the holes of TLS.
func (a *api) transport(s *httptest.Server) {
	if a.has("tls-old") {
		s.TLS.MinVersion = tls.VersionTLS10
	}
	if a.has("header-trailer") {
		s.EnableHTTP2 = false
	}
}

// inHeaders reads a certificate from a header of whoever sends it.
func (a *api) inHeaders(r *http.Request, x5t string) bool {
	h, one := r.Header.Clone(), proxy.Format{}
	formats := map[string]proxy.Format{}
	for _, f := range families() {
		formats[f.name] = f.formats[0]
	}
	envoy := formats["header-envoy"]
	switch a.hole {
	case "header-underscore", "header-dot", "header-last-hyphen", "header-tilde":
		sep := map[string]string{"header-underscore": "_", "header-dot": ".", "header-last-hyphen": "_", "header-tilde": "~"}[a.hole]
		h = http.Header{}
		for name, v := range r.Header {
			if strings.Contains(name, sep) && (a.hole != "header-last-hyphen" || strings.Contains(name, "-")) {
				h[http.CanonicalHeaderKey(strings.ReplaceAll(name, sep, "-"))] = v
			}
		}
		one = envoy
	case "header-twice":
		for name, v := range h {
			if len(v) != 2 {
				h.Del(name)
				continue
			}
			h[name] = v[1:]
		}
		one = envoy
	case "header-http2":
		if r.ProtoMajor != 2 {
			return false
		}
		one = envoy
	case "header-lower-case":
		one = envoy
	case "header-thumbprint":
		return h.Get("X-Client-Cert-Thumbprint") == x5t
	case "header-subject":
		return h.Get("X-SSL-Client-CN") == a.owner.Subject.CommonName
	case "header-trailer":
		if _, err := r.Body.Read(make([]byte, 1)); err == nil {
			return false
		}
		h, one = r.Trailer, envoy
	case "header-folded", "header-space": // what the server makes of such lines: see lenient
		one = envoy
	case "header-connection":
		return strings.Contains(h.Get("Connection"), "X-Forwarded-Client-Cert")
	default:
		one = formats[a.hole]
	}
	p, err := one.Decode(h)
	return err == nil && p.Leaf != nil && thumbprint(p.Leaf) == x5t
}
