package popauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha512" // for the 384 and 512 bit algorithms
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// algorithm is a signature algorithm with the keys that it may be used with.
type algorithm struct {
	name   string
	method jwt.SigningMethod
	fits   func(key any) bool
}

var algorithms = []algorithm{
	{"RS256", jwt.SigningMethodRS256, isRSA},
	{"RS384", jwt.SigningMethodRS384, isRSA},
	{"RS512", jwt.SigningMethodRS512, isRSA},
	{"PS256", saltAsLongAsHash(jwt.SigningMethodPS256), isRSA},
	{"PS384", saltAsLongAsHash(jwt.SigningMethodPS384), isRSA},
	{"PS512", saltAsLongAsHash(jwt.SigningMethodPS512), isRSA},
	{"ES256", jwt.SigningMethodES256, isOn(elliptic.P256())},
	{"ES384", jwt.SigningMethodES384, isOn(elliptic.P384())},
	{"ES512", jwt.SigningMethodES512, isOn(elliptic.P521())},
	{"EdDSA", jwt.SigningMethodEdDSA, isEd25519},
	{"Ed25519", jwt.SigningMethodEdDSA, isEd25519}, // RFC 9864, section 2.2
}

// saltAsLongAsHash is what RFC 7518, section 3.5, demands. Left alone, the method takes any length that fits.
func saltAsLongAsHash(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA, Options: m.Options,
		VerifyOptions: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

// isRSA demands what RFC 7518, section 3.3, does, and an upper bound, since a large modulus makes each look at a
// token expensive.
func isRSA(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && k != nil && k.N != nil && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
}

func isOn(curve elliptic.Curve) func(any) bool {
	return func(key any) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k != nil && k.Curve == curve
	}
}

func isEd25519(key any) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize
}

func findAlgorithm(name string) (algorithm, bool) {
	i := slices.IndexFunc(algorithms, func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, false
	}
	return algorithms[i], true
}

// algorithmsNamed returns the algorithms of these names, and reports those that there are none for.
func algorithmsNamed(names []string, problem func(field, format string, args ...any)) []algorithm {
	var found []algorithm
	for _, name := range names {
		a, ok := findAlgorithm(name)
		if !ok {
			problem("Algorithms", "%q is no asymmetric signature algorithm that is known here", name)
		}
		for _, same := range algorithms {
			if ok && same.method == a.method { // EdDSA and Ed25519 are one
				found = append(found, same)
			}
		}
	}
	return found
}

// jwtVerifier verifies JWT access tokens (RFC 7519, RFC 9068) of one issuer. A token is read once, strictly; the
// signing methods and the claims validation of golang-jwt and keyfunc's choice of key work on what was read.
type jwtVerifier struct {
	issuer     string
	keys       KeySource
	algorithms []algorithm
	types      []string
	validator  *jwt.Validator
}

func newJWTVerifier(o JWTOptions, problem func(field, format string, args ...any)) *jwtVerifier {
	v := &jwtVerifier{issuer: o.Issuer, keys: o.Keys, types: slices.Clone(o.TokenTypes)}
	if o.Issuer == "" {
		problem("Issuer", "empty")
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		problem("Audience", "empty, or has an empty entry")
	}
	if v.keys == nil && o.Issuer != "" {
		keys, err := NewRemoteKeys(RemoteKeysOptions{Issuer: o.Issuer, Now: o.Now})
		if err != nil {
			problem("Issuer", "can't be the start of discovery, and Keys is nil: %w", err)
		}
		v.keys = keys
	} else {
		checkKeys(v.keys, o.Issuer, problem)
	}
	if v.types == nil {
		v.types = []string{"at+jwt", "application/at+jwt", "JWT"}
	} else if len(v.types) == 0 {
		problem("TokenTypes", "empty, but not nil")
	}
	v.algorithms = completeAlgorithms(o.Algorithms, problem)
	v.validator = jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithIssuer(o.Issuer),
		jwt.WithAudience(slices.Clone(o.Audience)...), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	return v
}

func (v *jwtVerifier) issuers() []string { return []string{v.issuer} }

// Verify looks at nothing that costs before the token's form, type and algorithm are right, and fetches no key for
// another issuer's token.
func (v *jwtVerifier) Verify(ctx context.Context, token string) (*Token, error) {
	header, payload, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	h, err := readHeader(header)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(v.types, func(t string) bool { return strings.EqualFold(t, h.typ) }) {
		return nil, ErrTokenType
	}
	a, err := v.algorithm(h)
	if err != nil {
		return nil, err
	}
	t, err := NewToken(payload)
	if err != nil {
		return nil, err
	}
	// RFC 9068, section 5: an ID token must not pass for an access token. A type of its own rules that out.
	if t.foreign && slices.Contains([]string{"", "jwt", "application/jwt"}, strings.ToLower(h.typ)) {
		return nil, ErrTokenType
	}
	if t.Issuer != v.issuer {
		return nil, ErrTokenIssuer
	}
	if err := v.verifySignature(ctx, h, a, token, signature); err != nil {
		return nil, err
	}
	if err := v.validator.Validate(claims{t}); err != nil {
		return nil, &Error{Reason: claimReason(t, err), Err: err, token: t}
	}
	return t, nil
}

func (v *jwtVerifier) algorithm(h header) (algorithm, error) {
	i := slices.IndexFunc(v.algorithms, func(a algorithm) bool { return a.name == h.alg })
	if i < 0 {
		return algorithm{}, ErrTokenAlgorithm
	}
	return v.algorithms[i], nil
}

func (v *jwtVerifier) verifySignature(ctx context.Context, h header, a algorithm, token string, signature []byte) error {
	key, err := v.key(ctx, h, a, token)
	if err != nil {
		return err
	}
	if err := a.method.Verify(token[:strings.LastIndexByte(token, '.')], signature, key); err != nil {
		return ErrTokenSignature
	}
	return nil
}

// split decodes the three segments of a compact JWS (RFC 7515, section 7.1). A JWE has five.
func split(token string) (header, payload, signature []byte, err error) {
	if strings.Count(token, ".") != 2 {
		return nil, nil, nil, ErrTokenMalformed
	}
	h, rest, _ := strings.Cut(token, ".")
	p, s, _ := strings.Cut(rest, ".")
	if header, err = decodeSegment(h); err != nil {
		return nil, nil, nil, err
	}
	if payload, err = decodeSegment(p); err != nil {
		return nil, nil, nil, err
	}
	if signature, err = decodeSegment(s); err != nil {
		return nil, nil, nil, err
	}
	return header, payload, signature, nil
}

// header is what counts of a JOSE header. jku, jwk, x5u and x5c, which would let a token bring its own key, are not
// looked at.
type header struct {
	alg, typ, kid string
	named         bool // there is a kid
}

const maxKeyID = 256

var errHeader = errors.New("header has crit, b64, zip, enc or a nested token, or an unfit kid")

func readHeader(b []byte) (header, error) {
	var h header
	err := strictjson.Members(b, []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"}, func(name string, v jsontext.Value) (err error) {
		switch name {
		case "alg":
			h.alg, err = strictjson.String(v)
		case "typ":
			h.typ, err = strictjson.String(v)
		case "kid":
			h.named = true
			if h.kid, err = strictjson.String(v); err == nil && (h.kid == "" || len(h.kid) > maxKeyID || strings.ContainsFunc(h.kid, unicode.IsControl)) {
				err = errHeader
			}
		case "cty":
			var cty string
			if cty, err = strictjson.String(v); err == nil && strings.HasSuffix(strings.ToLower(cty), "jwt") {
				err = errHeader
			}
		case "crit", "b64", "zip", "enc":
			// RFC 7515, section 4.1.11: an extension that is not understood makes the token invalid, and none is.
			err = errHeader
		}
		return err
	})
	if err != nil {
		return header{}, &Error{Reason: ErrTokenMalformed, Err: err}
	}
	return h, nil
}

// key lets keyfunc choose among the issuer's keys, and then holds the choice against the algorithm.
func (v *jwtVerifier) key(ctx context.Context, h header, a algorithm, token string) (any, error) {
	alg := a.method.Alg() // keyfunc compares it with the JWK's; EdDSA for Ed25519
	if m, ok := v.keys.(keyMemory); ok && h.named {
		if key, ok := m.known(h.kid, alg); ok && a.fits(key) {
			return key, nil
		}
	}
	t := &jwt.Token{Raw: token, Method: a.method, Header: map[string]any{"alg": alg, "typ": h.typ}}
	if h.named {
		t.Header["kid"] = h.kid
	}
	key, err := v.keys.KeyfuncCtx(ctx)(t)
	if err != nil {
		return nil, refused(err, keyReason(ctx))
	}
	// Without a kid keyfunc returns every key. Trying them all would let a token pass that names no key, at any cost.
	if set, ok := key.(jwt.VerificationKeySet); ok {
		var fit []jwt.VerificationKey
		for _, k := range set.Keys {
			if a.fits(k) {
				fit = append(fit, k)
			}
		}
		if len(fit) != 1 {
			return nil, ErrTokenKey
		}
		key = fit[0]
	}
	if !a.fits(key) {
		return nil, ErrTokenKey
	}
	return key, nil
}

// keyReason tells a key that is not there from a look-up that the request's end cut short.
func keyReason(ctx context.Context) Reason {
	if ctx.Err() != nil {
		return ErrUnavailable
	}
	return ErrTokenKey
}

// claimReason picks the reason out of golang-jwt's joined errors: what is wrong for good comes before the time.
func claimReason(t *Token, err error) Reason {
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return ErrTokenIssuer
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing) && t.ExpiresAt.IsZero():
		return ErrTokenMalformed
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return ErrTokenAudience
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrTokenExpired
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ErrTokenNotYetValid
	}
	return ErrTokenInvalid
}
