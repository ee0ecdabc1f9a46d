package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
)

// rewritten is a token with other claims, signed by a key of this program's own.
type rewritten struct {
	header, claims map[string]any
	key            *ecdsa.PrivateKey
}

// anyIssuersKeys are keys that are used for the tokens of another issuer than theirs.
type anyIssuersKeys struct{ popauth.KeySource }

// overlook changes the setting so that the same does not fail again; false if nothing can come after it. What is wrong before the
// signature is looked at is overlooked by other options: then it is looked at.
func (s *setting) overlook(e *popauth.Error) bool {
	p, err := splitJWT(s.token)
	if err != nil {
		return false
	}
	if s.signed == nil {
		var m *popauth.Mismatch
		switch iss := text(p.claims["iss"]); {
		case e.Reason == popauth.ErrTokenIssuer && iss != "":
			s.options.Issuer, s.options.Keys = iss, anyIssuersKeys{s.options.Keys}
			return true
		case e.Reason == popauth.ErrTokenType && errors.As(e.Err, &m) && m.What == "typ":
			s.options.TokenTypes = append(s.options.TokenTypes, text(p.header["typ"]))
			return true
		}
		s.unverifiable = e.Reason == popauth.ErrTokenAlgorithm
		if s.signed, err = rewrite(s.token); err != nil {
			return false
		}
	}
	return s.mend(e) && s.sign() == nil
}

// mend takes out of the token what has failed.
func (s *setting) mend(e *popauth.Error) bool {
	claims := s.signed.claims
	switch e.Reason {
	case popauth.ErrTokenKey, popauth.ErrTokenSignature, popauth.ErrTokenAlgorithm, popauth.ErrUnavailable:
		return true // by the new signature
	case popauth.ErrTokenIssuer:
		claims["iss"] = s.options.Issuer
	case popauth.ErrTokenAudience:
		claims["aud"] = s.options.Audience[0]
	case popauth.ErrTokenExpired, popauth.ErrTokenNotYetValid:
		claims["iat"], claims["exp"] = s.now.Unix(), s.now.Add(time.Minute).Unix()
		delete(claims, "nbf")
	case popauth.ErrBindingScheme:
		var m *popauth.Mismatch
		if !errors.As(e.Err, &m) {
			return false
		}
		s.request.Header.Set("Authorization", strings.Trim(m.Want, `"`)+" ")
	case popauth.ErrBindingMissing:
		s.bound = false
	case popauth.ErrScope:
		s.scopes = nil
	default:
		return s.confirmed(e)
	}
	return true
}

// confirmed takes the binding out of the token that can't be confirmed.
func (s *setting) confirmed(e *popauth.Error) bool {
	member := "x5t#S256"
	switch {
	case e.Reason == popauth.ErrCertificateMissing, e.Reason == popauth.ErrCertificateMismatch:
	case strings.HasPrefix(e.Reason.Code(), "proof_"):
		member = "jkt"
		s.request.Header.Set("Authorization", "Bearer ")
		s.request.Header.Del("DPoP")
	default:
		return false
	}
	cnf, ok := s.signed.claims["cnf"].(map[string]any)
	if !ok || cnf[member] == nil {
		return false
	}
	if delete(cnf, member); len(cnf) == 0 {
		delete(s.signed.claims, "cnf")
	}
	s.bound = false // it was
	return true
}

func rewrite(token string) (*rewritten, error) {
	p, err := splitJWT(token)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &rewritten{p.header, p.claims, key}, nil
}

// sign puts the token as it is now into the request, and its key in the place of the issuer's.
func (s *setting) sign() error {
	const kid = "explain"
	r := s.signed
	r.header["alg"], r.header["kid"] = "ES256", kid
	header, err := json.Marshal(r.header)
	if err != nil {
		return err
	}
	claims, err := json.Marshal(r.claims)
	if err != nil {
		return err
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := jwt.SigningMethodES256.Sign(input, r.key)
	if err != nil {
		return err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: r.key.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		return err
	}
	if s.options.Keys, err = popauth.StaticKeys(set); err != nil {
		return err
	}
	s.options.Algorithms = nil
	scheme, _, _ := strings.Cut(s.request.Header.Get("Authorization"), " ")
	s.request.Header.Set("Authorization", fmt.Sprintf("%s %s.%s", scheme, input, base64.RawURLEncoding.EncodeToString(signature)))
	return nil
}
