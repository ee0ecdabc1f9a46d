//go:build unix

package soak

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth/popauthtest"
)

// made are tokens that are not genuine, or not for this API, in their owner's hand.
func (t *thieves) made() []func() *attempt {
	i := t.w.issuer
	mint := func(o *owner, by *popauthtest.Issuer, header popauthtest.Claims, claims ...popauthtest.Claims) string {
		return by.TokenWith(header, append([]popauthtest.Claims{o.Bound(), {
			"iss": i.URL, "aud": audience, "client_id": o.name, "sub": "sub-" + o.name, "scope": scope,
		}}, claims...)...)
	}
	try := func(kind string, token func(o *owner) string) func() *attempt {
		return func() *attempt {
			o, _ := t.steal(certificateJWT)
			return t.send(kind, t.theirs[o], plainPath, "Bearer", token(o))
		}
	}
	return []func() *attempt{
		try("expired", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"exp": time.Now().Add(-time.Minute).Unix()})
		}),
		try("for another audience", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"aud": "https://other.example.com"})
		}),
		try("of another issuer", func(o *owner) string {
			return mint(o, i.Issuer, nil, popauthtest.Claims{"iss": "https://other.example.com"})
		}),
		try("without the scope", func(o *owner) string { return mint(o, i.Issuer, nil, popauthtest.Claims{"scope": "other"}) }),
		try("not bound", func(o *owner) string { return mint(o, i.Issuer, nil, popauthtest.Claims{"cnf": popauthtest.Omit}) }),
		try("unsigned", func(o *owner) string { return mint(o, i.Issuer, popauthtest.Claims{"alg": "none"}) }),
		try("signed by a made-up key", func(o *owner) string {
			return mint(o, t.foreign, popauthtest.Claims{"kid": rand.Text()})
		}),
		try("signed by a key under the issuer's name for its own", func(o *owner) string {
			var set struct{ Keys []struct{ Kid string } }
			if json.Unmarshal(i.JWKS(), &set) != nil || len(set.Keys) == 0 {
				return ""
			}
			return mint(o, t.foreign, popauthtest.Claims{"kid": set.Keys[0].Kid})
		}),
		try("made up, opaque", func(*owner) string { return rand.Text() }),
	}
}

// proven are requests with proofs of the owner's key, made for something else, or used before.
func (t *thieves) proven() []func() *attempt {
	try := func(kind, path string, proof func(o *owner, token string) (string, error)) func() *attempt {
		return func() *attempt {
			o, token := t.steal(proofJWT)
			if token == "" {
				return nil
			}
			text, err := proof(o, token)
			if err != nil {
				return nil
			}
			return t.send(kind, t.own, path, "DPoP", token, "DPoP", text)
		}
	}
	plain, nonce := t.w.base()+plainPath, t.w.base()+noncePath
	return []func() *attempt{
		try("proof for another path", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, "")
		}),
		try("proof for another method", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodPost, plain, token, "")
		}),
		try("proof for another token", plainPath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, plain, token+"x", "")
		}),
		try("proof without nonce", noncePath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, "")
		}),
		try("proof with a made-up nonce", noncePath, func(o *owner, token string) (string, error) {
			return o.key.Proof(http.MethodGet, nonce, token, rand.Text())
		}),
		t.replay(false), t.replay(true), t.replay(false), t.replay(true), t.replay(true),
	}
}
