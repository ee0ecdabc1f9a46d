package bench

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// proofs are requests with a genuine token, since without one nobody looks at a proof, whose proof is wrong.
func (s *stranger) proofs() []*Hostile {
	key, other := popauthtest.NewProofKey(&Program{}, "ES256"), popauthtest.NewProofKey(&Program{}, "ES256")
	token := s.f.token(s.f.issuer, "RS256", key.Bound())
	own, strange := modulus(4096), modulus(4096)
	large := s.f.token(s.f.issuer, "RS256", popauthtest.Claims{"cnf": popauthtest.Claims{"jkt": thumbprint(own)}})
	row := func(name, token string, status int, d dpop.Options, proofs func(n int) []string) *Hostile {
		d.URL = dpop.RequestURL
		confirmer, err := dpop.New(d)
		if err != nil {
			s.tb.Fatalf("bench: %v", err)
		}
		return &Hostile{
			Name: name, Status: status, Genuine: true,
			protect: s.guard(popauth.Options{Confirmers: []popauth.Confirmer{confirmer}}).Authenticate,
			request: func(n int) *http.Request {
				r := shows("DPoP", token)
				r.Header["Dpop"] = proofs(n)
				return r
			},
		}
	}
	one := func(f func(n int) string) func(int) []string { return func(n int) []string { return []string{f(n)} } }
	good := func(by *popauthtest.ProofKey, claims ...popauthtest.Claims) func(int) string {
		return func(int) string { return by.Proof(http.MethodGet, Audience+Path, token, claims...) }
	}
	zero := dpop.Options{}
	owners := row("proof of the token's own RSA key of 4,096 bits, wrong signature", large, 401, zero, one(proofOf(own, large)))
	owners.Why = "the owner has chosen this key, which everybody knows who has seen a proof; to verify by it takes longer than by one " +
		"of 2,048 bits"
	valid := row("15,000 good proofs of one key", token, reached, zero, one(good(key)))
	valid.Passes, valid.Different = true, 15_000
	nonce := row("proof with a nonce made up", token, 401, dpop.Options{
		Nonces: dpop.StatelessNonces{Secrets: [][]byte{bytes.Repeat([]byte("s"), 32)}},
	}, one(func(n int) string { return good(key, popauthtest.Claims{"nonce": fmt.Sprint("made-up-", n)})(n) }))
	nonce.Why = "the owner of the token's key has signed it by ES256, which is slower to verify than RS256, and the nonce is looked " +
		"at after that"
	return []*Hostile{
		row("no proof", token, 401, zero, func(int) []string { return nil }),
		row("proof of bad form", token, 401, zero, one(func(n int) string { return fmt.Sprint("a.b.", n) })),
		row("16 proofs", token, 401, zero, func(n int) []string { return slices.Repeat([]string{fmt.Sprint("a.b.", n)}, 16) }),
		row("proof of 8 KiB, wrong signature", token, 401, zero, one(func(n int) string {
			return good(key, popauthtest.Claims{"x": string(bytes.Repeat([]byte("x"), 5500))})(n) + "A"
		})),
		row("proof of an RSA key of 4,096 bits, wrong signature", token, 401, zero, one(proofOf(strange, token))),
		row("proof of an RSA key of 8,192 bits, wrong signature", token, 401, zero, one(proofOf(modulus(8192), token))),
		owners,
		row("proof of another key", token, 401, zero, one(good(other))),
		nonce,
		valid,
	}
}

func inJWK(k *rsa.PublicKey) string {
	return fmt.Sprintf(`{"e":"AQAB","kty":"RSA","n":%q}`, base64.RawURLEncoding.EncodeToString(k.N.Bytes()))
}

// thumbprint is that of RFC 7638: the members are in its order already.
func thumbprint(k *rsa.PublicKey) string {
	sum := sha256.Sum256([]byte(inJWK(k)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proofOf are proofs with a key whose signature is none.
func proofOf(k *rsa.PublicKey, token string) func(n int) string {
	encode := base64.RawURLEncoding.EncodeToString
	header := encode(fmt.Appendf(nil, `{"typ":"dpop+jwt","alg":"RS256","jwk":%s}`, inJWK(k)))
	signature := encode(append([]byte{0}, bytes.Repeat([]byte{7}, k.Size()-1)...))
	sum := sha256.Sum256([]byte(token))
	return func(n int) string {
		payload := fmt.Appendf(nil, `{"jti":"%08d","htm":"GET","htu":%q,"iat":%d,"ath":%q}`, n, Audience+Path, time.Now().Unix(),
			encode(sum[:]))
		return header + "." + encode(payload) + "." + signature
	}
}
