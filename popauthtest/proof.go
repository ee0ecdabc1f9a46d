package popauthtest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ProofKey is a client's key for DPoP proofs (RFC 9449). Make one with [NewProofKey].
type ProofKey struct {
	// Now is the clock for iat. If nil, it is time.Now.
	Now func() time.Time

	tb      TB
	alg     string
	method  jwt.SigningMethod
	private crypto.Signer
	public  jwk
}

// NewProofKey makes a key for proofs with this algorithm, of those that [Issuer.TokenWith] has keys for; "" is ES256.
func NewProofKey(tb TB, alg string) *ProofKey {
	tb.Helper()
	if alg == "" {
		alg = "ES256"
	}
	private, err := generate(alg)
	if err != nil {
		tb.Fatalf("popauthtest: no key for alg %q: %v", alg, err)
	}
	k := &ProofKey{tb: tb, alg: alg, private: private, method: jwt.GetSigningMethod(strings.Replace(alg, "Ed25519", "EdDSA", 1))}
	if k.public, err = publicJWK(private.Public()); err != nil {
		tb.Fatalf("popauthtest: JWK: %v", err)
	}
	return k
}

// Public is the public key.
func (k *ProofKey) Public() crypto.PublicKey {
	return k.private.Public()
}

// JWK is the public key, as it stands in a proof's header.
func (k *ProofKey) JWK() Claims {
	members := Claims{"kty": k.public.Kty}
	for name, value := range map[string]string{
		"crv": k.public.Crv, "x": k.public.X, "y": k.public.Y, "n": k.public.N, "e": k.public.E,
	} {
		if value != "" {
			members[name] = value
		}
	}
	return members
}

// Thumbprint is the jkt of the key (RFC 7638; RFC 9449, section 6.1).
func (k *ProofKey) Thumbprint() string {
	// Go writes the members of a map in lexicographic order and without spaces: RFC 7638, section 3.
	sum := sha256.Sum256(marshal(k.tb, k.JWK()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Bound is the claim that binds a token to the key: {"cnf": {"jkt": …}}.
func (k *ProofKey) Bound() Claims {
	return Claims{"cnf": Claims{"jkt": k.Thumbprint()}}
}

// Proof makes a proof for one request with a token: jti one that was never used before, htm and htu the request's, iat
// now, ath the token's hash; without a token ("") there is no ath. A query in the URL is left out. Claims add to the
// payload and override it.
func (k *ProofKey) Proof(method, target, token string, claims ...Claims) string {
	k.tb.Helper()
	return k.ProofWith(nil, method, target, token, claims...)
}

// ProofWith is Proof with another header: its members add to the default ones, typ, alg and jwk, and override them.
// Whatever it says, the key signs.
func (k *ProofKey) ProofWith(header Claims, method, target, token string, claims ...Claims) string {
	k.tb.Helper()
	target, _, _ = strings.Cut(target, "#")
	target, _, _ = strings.Cut(target, "?")
	now := time.Now()
	if k.Now != nil {
		now = k.Now()
	}
	defaults := Claims{"jti": rand.Text(), "htm": method, "htu": target, "iat": now.Unix(), "ath": Omit}
	if token != "" {
		hash := sha256.Sum256([]byte(token))
		defaults["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	return k.Sign(
		marshal(k.tb, merge(Claims{"typ": "dpop+jwt", "alg": k.alg, "jwk": k.JWK()}, header)),
		marshal(k.tb, merge(append([]Claims{defaults}, claims...)...)),
	)
}

// Sign makes a proof of these very bytes, well-formed or not, with a correct signature over them.
func (k *ProofKey) Sign(header, payload []byte) string {
	k.tb.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(header) + "." + encode(payload)
	return input + "." + k.Signature(input)
}

// Signature is the third part of a proof whose first two are input, encoded well or not.
func (k *ProofKey) Signature(input string) string {
	k.tb.Helper()
	signature, err := k.method.Sign(input, k.private)
	if err != nil {
		k.tb.Fatalf("popauthtest: sign with %s: %v", k.alg, err)
	}
	return base64.RawURLEncoding.EncodeToString(signature)
}

// Request returns a request as a handler gets it from a TLS server, with the token under the scheme DPoP and a proof
// for it. Claims are those of Proof. Target is a path or a URL; Request panics if it is malformed.
func (k *ProofKey) Request(method, target, token string, claims ...Claims) *http.Request {
	k.tb.Helper()
	r := httptest.NewRequest(method, target, nil)
	if r.TLS == nil {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.Host}
	}
	own := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", k.Proof(method, own.String(), token, claims...))
	return r
}
