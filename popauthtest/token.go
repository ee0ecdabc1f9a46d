package popauthtest

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"time"
)

// Audience is the aud of a token that says nothing else.
const Audience = "https://api.example.com"

// Claims are members of a JSON object: the payload of a token, its header, a discovery document. A nil value is JSON
// null; [Omit] leaves the member out. Where several are given, later ones replace members of earlier ones, whole:
// nothing is merged inside a member.
type Claims map[string]any

// Omit as the value of a member leaves that member out, default or not.
const Omit omitted = 0

type omitted byte

// MarshalJSON fails: within a member there is no default to leave out, so a member of a member is left out by the test.
func (omitted) MarshalJSON() ([]byte, error) {
	return nil, errors.New("popauthtest: Omit leaves out members of the outermost object only")
}

func merge(all ...Claims) Claims {
	merged := Claims{}
	for _, claims := range all {
		maps.Copy(merged, claims)
	}
	maps.DeleteFunc(merged, func(_ string, v any) bool { return v == any(Omit) })
	return merged
}

// Token mints a token (RFC 9068): iss is URL, aud [Audience], sub and client_id "client-1", iat now, exp five minutes
// later, jti one that was never used before. The header has typ at+jwt, and the algorithm that the issuer was made
// with. Claims add to the payload and override it.
func (i *Issuer) Token(claims ...Claims) string {
	i.tb.Helper()
	return i.TokenWith(nil, claims...)
}

// TokenWith is Token with another header: its members add to the default ones and override them. Its alg picks the key
// as well:
//
//   - RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519: the issuer's key for it.
//   - HS256, HS384, HS512: the secret is the issuer's public key in PEM, as in the attack by algorithm confusion.
//   - none: the signature is empty.
//   - a value that is no string, the empty one, Omit: signed as if the header had said nothing.
//
// Any other algorithm ends the test; [Issuer.Sign] signs any header.
func (i *Issuer) TokenWith(header Claims, claims ...Claims) string {
	i.tb.Helper()
	alg, ok := header["alg"].(string)
	if !ok {
		alg = i.algorithms[0]
	}
	_, _, kid := i.signer(alg)
	now := i.now()
	defaults := Claims{
		"iss":       i.URL,
		"aud":       Audience,
		"sub":       "client-1",
		"client_id": "client-1",
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
		"jti":       rand.Text(),
	}
	return i.Sign(
		marshal(i.tb, merge(Claims{"alg": alg, "kid": kid, "typ": "at+jwt"}, header)),
		marshal(i.tb, merge(append([]Claims{defaults}, claims...)...)),
		alg,
	)
}

// Sign makes a token of these very bytes, well-formed or not, with a correct signature over them. Whatever header
// says, alg picks the key, as in [Issuer.TokenWith]; "" is the algorithm that the issuer was made with.
func (i *Issuer) Sign(header, payload []byte, alg string) string {
	i.tb.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(header) + "." + encode(payload)
	return input + "." + i.Signature(input, alg)
}

// Signature is the third part of a token whose first two are input, encoded well or not. Alg is as in [Issuer.Sign].
func (i *Issuer) Signature(input, alg string) string {
	i.tb.Helper()
	method, key, _ := i.signer(alg)
	signature, err := method.Sign(input, key)
	if err != nil {
		i.tb.Fatalf("popauthtest: sign with %s: %v", alg, err)
	}
	return base64.RawURLEncoding.EncodeToString(signature)
}
