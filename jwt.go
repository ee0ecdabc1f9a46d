package popauth

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha512" // for the 384 and 512 bit algorithms
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jwk"
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
	return ok && k != nil && k.N != nil && k.N.BitLen() >= minRSA && jwk.Affordable(k) == nil
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
	keyIssuer  string // as keys name it
	audience   []string
	keys       KeySource
	algorithms []algorithm
	types      []string
	kinds      tokenKinds
	validator  *jwt.Validator
	leeway     time.Duration
	now        func() time.Time
	known      ownKeys // keys, if they are ours
	entries    int     // of memory; not positive: nothing is remembered
	memory     atomic.Pointer[tokenMemory]
	making     sync.Mutex // of memory
	shares     *budget    // of memory; nil: it is alone
	headers    *headerMemory[header]
}

func newJWTVerifier(o JWTOptions, problem func(field, format string, args ...any)) *jwtVerifier {
	v := &jwtVerifier{
		issuer: o.Issuer, keyIssuer: cmp.Or(o.KeyIssuer, o.Issuer), audience: slices.Clone(o.Audience), keys: o.Keys,
		types: slices.Clone(o.TokenTypes), leeway: o.Leeway, now: o.Now, entries: o.Remember,
		headers: newHeaderMemory[header](issuerHeaders),
	}
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
	if v.known = ownOf(v.keys); v.known == nil && o.Remember > 0 {
		problem("Remember", "Keys is neither RemoteKeys nor StaticKeys: nothing tells when a key no longer counts")
	}
	switch {
	case o.Remember == 0:
		v.entries = defaultTokens
	case o.Remember > maxTokens:
		problem("Remember", "%d is more than %d", o.Remember, maxTokens)
	}
	if v.types == nil {
		v.types = slices.Clone(defaultTypes)
	} else if len(v.types) == 0 {
		problem("TokenTypes", "empty, but not nil")
	}
	v.kinds = completeKinds(o.RequiredClaims, o.AllowIDTokens, problem)
	v.algorithms = completeAlgorithms(o.Algorithms, problem)
	v.validator = jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithIssuer(o.Issuer),
		jwt.WithAudience(v.audience...), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	return v
}

// Issuers returns the one issuer.
func (v *jwtVerifier) Issuers() []string { return []string{v.issuer} }

// knowsHeader tells whether a JWT with the same header has come before, and was genuine.
func (v *jwtVerifier) knowsHeader(token string) bool {
	j, err := part(token)
	return err == nil && v.headers.find(j.header) != nil
}

// header returns what the token's header says, and whether that was known.
func (v *jwtVerifier) header(j jws) (h header, known bool, err error) {
	if k := v.headers.find(j.header); k != nil {
		return *k, true, nil
	}
	h, err = j.readHeader()
	return h, false, err
}

// verify looks at nothing that costs before the token's form, type and algorithm are right, fetches no key for another
// issuer's token, and reads no claim before the signature is right: many claims cost several times as much. It returns the
// keys that it found the token's among as well; nil if that is not known.
func (v *jwtVerifier) verify(ctx context.Context, token string, j jws, h header) (*verifiedToken, *keySet, error) {
	s, err := jws{payload: j.payload, signature: j.signature}.decode()
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	if !isType(v.types, h.typ) {
		return nil, nil, wrongKind("header typ is %.64q, and Options.TokenTypes has %q", h.typ, v.types)
	}
	a, err := v.algorithm(h)
	if err != nil {
		return nil, nil, err
	}
	switch iss, err := strictjson.PeekString(s.payload, "iss"); {
	case err != nil:
		return nil, nil, &Error{Reason: ErrTokenMalformed, Err: err}
	case string(iss) != v.issuer:
		return nil, nil, ErrTokenIssuer
	}
	begun := v.fetches()
	keys, err := v.verifySignature(ctx, h, a, token, j.signed, s.signature)
	if err != nil && v.renewed(ctx, h, keys, begun, s.payload, err) {
		keys, err = v.verifySignature(ctx, h, a, token, j.signed, s.signature)
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := v.claims(s.payload, h)
	if err != nil {
		return nil, nil, err
	}
	return e, keys, nil
}

// claims reads the claims of a token, and holds them against the options.
func (v *jwtVerifier) claims(payload []byte, h header) (*verifiedToken, error) {
	e := &verifiedToken{}
	said, err := e.read(payload, v.kinds.required)
	if err != nil {
		return nil, err
	}
	if err := v.kinds.check(said, &e.Token, h.typ); err != nil {
		return nil, err
	}
	if err := v.validate(&e.Token); err != nil {
		return nil, err
	}
	return e, nil
}

// fetches returns how many fetches of the issuer's keys have begun.
func (v *jwtVerifier) fetches() int64 {
	if keys, ok := v.known.(*RemoteKeys); ok {
		return keys.begun.Load()
	}
	return 0
}

// renewed tells whether the issuer has other keys by now than those that did not verify a token. A token that names no
// key says nothing of a rotation, nor does one whose key was replaced under its name. The issuer is asked only about a token
// that would pass otherwise, and its claims are read only when the issuer may be asked.
func (v *jwtVerifier) renewed(ctx context.Context, h header, than *keySet, begun int64, payload []byte, err error) bool {
	keys, ok := v.known.(*RemoteKeys)
	if !ok || than == nil || !than.has(keyID{h.by, h.kid}) {
		return false
	}
	if reason := refused(err, ErrTokenKey).Reason; reason != ErrTokenKey && reason != ErrTokenSignature {
		return false
	}
	if !keys.mayBeRenewed(than) {
		return false
	}
	_, wrong := v.claims(payload, h)
	return wrong == nil && keys.renewed(ctx, than, begun)
}

func (v *jwtVerifier) validate(t *Token) error {
	err := v.validator.Validate(claimsOf(t))
	if err == nil {
		return nil
	}
	reason := claimReason(t, err)
	if reason == ErrTokenAudience {
		err = fmt.Errorf("aud is %.100q, and Options.Audience has %q", t.audience, v.audience)
	}
	return &Error{Reason: reason, Err: err, token: t}
}

func (v *jwtVerifier) algorithm(h header) (algorithm, error) {
	i := slices.IndexFunc(v.algorithms, func(a algorithm) bool { return a.name == h.alg })
	if i < 0 {
		return algorithm{}, ErrTokenAlgorithm
	}
	return v.algorithms[i], nil
}

func (v *jwtVerifier) verifySignature(ctx context.Context, h header, a algorithm, token, signed string, signature []byte) (*keySet, error) {
	key, keys, err := v.key(ctx, h, a, token)
	if err != nil {
		return keys, err
	}
	several, ok := key.([]any)
	if !ok {
		if a.method.Verify(signed, signature, key) != nil {
			return keys, ErrTokenSignature
		}
		return keys, nil
	}
	for _, key := range several {
		if a.method.Verify(signed, signature, key) == nil {
			return keys, nil
		}
	}
	return keys, ErrTokenSignature
}

// key lets keyfunc choose the issuer's key for the token, or a []any of the few that have one name. It returns the keys that it was
// looked for among as well, with an error, too; nil if that is not known.
func (v *jwtVerifier) key(ctx context.Context, h header, a algorithm, token string) (any, *keySet, error) {
	alg := a.method.Alg() // keyfunc compares it with the JWK's; EdDSA for Ed25519
	if v.known == nil {
		key, err := v.foreignKey(ctx, h, a, token)
		return key, nil, err
	}
	if h.by == byKeyID {
		keys := v.known.snapshot()
		if key, ok := keys.known(h.kid, alg, v.keyIssuer); ok {
			return key, keys, nil
		}
	}
	found, keys, err := v.known.find(ctx, wanted{keyName{keyID{h.by, h.kid}, alg}, v.keyIssuer})
	if err != nil {
		return nil, keys, refused(err, keyReason(ctx))
	}
	switch {
	case len(found) == 1:
		return found[0], keys, nil
	case h.by == "":
		// Trying them all would let a token pass that names no key, at any cost.
		return nil, keys, &Error{Reason: ErrTokenKey, Err: fmt.Errorf("the token names no key, and %d of the issuer fit its algorithm", len(found))}
	}
	return found, keys, nil
}

// foreignKey lets a KeySource of somebody else's choose, and then holds the choice against the algorithm.
func (v *jwtVerifier) foreignKey(ctx context.Context, h header, a algorithm, token string) (any, error) {
	t := &jwt.Token{Raw: token, Method: a.method, Header: map[string]any{"alg": a.method.Alg(), "typ": h.typ}, Claims: jwt.RegisteredClaims{Issuer: v.keyIssuer}}
	if h.by != "" {
		t.Header[h.by] = h.kid
	}
	key, err := v.keys.KeyfuncCtx(ctx)(t)
	if err != nil {
		return nil, endOf(ctx, refused(err, keyReason(ctx)))
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
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing) && t.expiresAt.IsZero():
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
