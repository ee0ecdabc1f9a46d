package probe

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// prove checks the proof of a request (RFC 9449, section 4.3).
func (a *api) prove(r *http.Request, scheme, text, jkt string) error {
	bad := invalid("invalid_dpop_proof")
	lines := r.Header["Dpop"]
	switch {
	case a.has("dpop-as-bearer") && scheme == "Bearer" && len(lines) == 0, a.has("dpop-with-certificate") &&
		len(r.TLS.PeerCertificates) > 0,
		a.has("proof-missing") && len(lines) == 0, a.has("proof-http2") && r.ProtoMajor == 2,
		a.has("proof-empty") && len(lines) == 1 && lines[0] == "", a.has("proof-garbage") && len(lines) == 1 && lines[0] == "popauth-probe",
		a.has("proof-is-token") && len(lines) == 1 && lines[0] == text,
		a.has("token-in-query", "two-tokens", "token-in-body", "token-in-cookie", "token-in-header") && scheme == "Bearer":
		return nil
	case scheme != "DPoP" && !a.has("dpop-as-bearer-with-proof"):
		return invalid("invalid_token")
	case a.has("proof-twice") && len(lines) > 1:
		lines = lines[:1]
	case len(lines) != 1:
		return bad
	}
	proof := strings.TrimSpace(lines[0])
	if a.has("replay-respelled") {
		proof = strings.TrimRight(proof, "=")
	}
	p, ok := a.readProof(proof, jkt)
	if !ok || !a.forThis(r, p, text) {
		return bad
	}
	if nonce, _ := p.claims["nonce"].(string); a.nonces && nonce != a.nonce() && !a.has("proof-nonce") {
		return invalid("use_dpop_nonce")
	} else if a.nonces && nonce == "" {
		return invalid("use_dpop_nonce")
	}
	if !a.unused(r, proof, p) {
		return bad
	}
	return nil
}

type provenProof struct {
	header, claims map[string]any
}

// readProof verifies the proof's own form and signature, and that it is of the token's key.
func (a *api) readProof(text, jkt string) (p provenProof, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return p, false
	}
	for i, into := range []*map[string]any{&p.header, &p.claims} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil || *into == nil || i == 1 && !a.has("proof-claim-twice") &&
			strings.Count(string(b), `"htu"`) > 1 {
			return p, false
		}
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || p.header["typ"] != "dpop+jwt" && !a.has("proof-typ") || p.header["crit"] != nil && !a.has("proof-crit") {
		return p, false
	}
	jwk, _ := p.header["jwk"].(map[string]any)
	if jwk == nil {
		return p, a.has("proof-jwk-missing")
	}
	if jwk["d"] != nil {
		if !a.has("proof-private-key") {
			return p, false
		}
		delete(jwk, "d")
	}
	b, _ := json.Marshal(jwk)
	var k jose.JSONWebKey
	if json.Unmarshal(b, &k) != nil || !k.IsPublic() {
		return p, false
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil || encode(sum) != jkt && !a.has("proof-other-key") {
		return p, false
	}
	return p, a.signed(p, k, parts[0]+"."+parts[1], signature)
}

func (a *api) signed(p provenProof, k jose.JSONWebKey, input string, signature []byte) bool {
	alg, _ := p.header["alg"].(string)
	switch a.hole {
	case "proof-signature", "proof-signature-changed":
		return true
	case "proof-signature-missing":
		if len(signature) == 0 {
			return true
		}
	case "proof-alg-none":
		if strings.EqualFold(alg, "none") {
			return true
		}
	case "proof-alg-hmac":
		for _, secret := range spelled(k.Key) {
			if isMAC(alg, input, signature, secret) {
				return true
			}
		}
	}
	return alg == "ES256" && jwt.SigningMethodES256.Verify(input, signature, k.Key) == nil
}

// forThis compares what a proof is for with the request.
func (a *api) forThis(r *http.Request, p provenProof, token string) bool {
	text := func(name string) string {
		s, _ := p.claims[name].(string)
		return s
	}
	given := func(name string) bool {
		return text(name) != "" || a.has("proof-"+name+"-missing") && p.claims[name] == nil
	}
	if !given("htm") || !given("htu") || !given("jti") || !given("ath") {
		return false
	}
	htm := text("htm")
	switch {
	case htm == "" || a.has("proof-method"), htm == r.Method, a.has("proof-method-head") && r.Method == http.MethodHead,
		a.has("proof-method-letters") && strings.EqualFold(htm, r.Method):
	default:
		return false
	}
	if htu := text("htu"); htu != "" && !a.target(r, htu) {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	if ath := text("ath"); ath != "" && ath != encode(sum[:]) && !a.has("proof-ath-other") {
		return false
	}
	iat, ok := p.claims["iat"].(float64)
	if !ok {
		return a.has("proof-iat-missing") && p.claims["iat"] == nil
	}
	age := time.Since(time.Unix(int64(iat), 0))
	return (age < time.Minute || a.has("proof-iat-old")) && (age > -time.Minute || a.has("proof-iat-future"))
}

// target compares htu with the URL of the request.
func (a *api) target(r *http.Request, htu string) bool {
	own := a.url + "/orders"
	is, err := url.Parse(htu)
	if err != nil {
		return false
	}
	want, _ := url.Parse(own)
	same := func(change func(*url.URL)) bool {
		x, y := *is, *want
		change(&x)
		change(&y)
		return x.String() == y.String()
	}
	switch a.hole {
	case "proof-path":
		return same(func(u *url.URL) { u.Path = "" })
	case "proof-path-part":
		return strings.HasPrefix(htu, own)
	case "proof-host":
		return same(func(u *url.URL) { u.Host = "" })
	case "proof-host-part":
		return is.Path == want.Path && strings.Contains(is.Host, want.Hostname())
	case "proof-scheme":
		return same(func(u *url.URL) { u.Scheme = "" })
	case "proof-port":
		return same(func(u *url.URL) { u.Host = u.Hostname() })
	case "proof-relative":
		return htu == "/orders" || htu == own
	case "proof-host-header":
		return htu == "https://"+r.Host+"/orders"
	case "proof-forwarded-host":
		if h := r.Header.Get("X-Forwarded-Host"); h != "" {
			return htu == "https://"+h+"/orders"
		}
	case "proof-forwarded-path":
		if p := r.Header.Get("X-Original-URL"); p != "" {
			return htu == a.url+p
		}
	}
	return htu == own
}

// unused remembers proofs.
func (a *api) unused(r *http.Request, text string, p provenProof) bool {
	jti, _ := p.claims["jti"].(string)
	if jti == "" {
		return a.has("proof-jti-missing")
	}
	switch a.hole {
	case "replay":
		return true
	case "replay-later":
		return a.first(jti + time.Now().Truncate(2*time.Second).String())
	case "replay-address":
		return a.first(jti + r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String())
	case "replay-http2":
		return a.first(jti + r.Proto)
	case "replay-at-once":
		a.mu.Lock()
		was := a.used[jti]
		a.mu.Unlock()
		time.Sleep(30 * time.Millisecond)
		return a.first(jti) || !was
	case "replay-respelled":
		return a.first(text)
	case "replay-query":
		return a.first(jti + r.URL.RawQuery)
	}
	return a.first(jti)
}
