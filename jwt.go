package popauth

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/keys"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/settings"
	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// issuerHeaders is more than an issuer has keys in use.
const issuerHeaders = 16

// jwtVerifier verifies JWT access tokens (RFC 7519, RFC 9068) of one issuer. A token is read once, strictly; the
// signing methods and the claims validation of golang-jwt and keyfunc's choice of key work on what was read.
type jwtVerifier struct {
	issuer     string
	keyIssuer  string // as keys name it
	audience   []string
	keys       KeySource
	algorithms []jose.Algorithm
	types      []string
	kinds      tokenKinds
	endless    bool // JWTs without exp are accepted
	omitted    omissions
	validator  *jwt.Validator
	leeway     time.Duration
	now        func() time.Time
	known      keys.Source // keys, if they are ours
	entries    int         // of memory; not positive: nothing is remembered
	memory     atomic.Pointer[tokenMemory]
	making     sync.Mutex // of memory
	shares     *Budget    // of memory; nil: it is alone
	headers    *memory.Headers[jose.Header]
}

func newJWTVerifier(o JWTOptions, problem settings.Problem) *jwtVerifier {
	v := &jwtVerifier{
		issuer: o.Issuer, keyIssuer: cmp.Or(o.KeyIssuer, o.Issuer), audience: slices.Clone(o.Audience), keys: o.Keys,
		types: slices.Clone(o.TokenTypes), endless: o.AllowMissingExpiration, leeway: o.Leeway, now: o.Now, entries: o.Remember,
		headers: memory.NewHeaders[jose.Header](issuerHeaders),
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
	v.kinds = completeKinds(o, problem)
	v.omitted = completeOmissions(o, problem)
	v.algorithms = jose.NamedOrAll(o.Algorithms, problem)
	expiration := jwt.WithExpirationRequired()
	if o.AllowMissingExpiration {
		expiration = jwt.WithIssuedAt() // which is wanted in any case
	}
	v.validator = jwt.NewValidator(expiration, jwt.WithIssuedAt(), jwt.WithIssuer(o.Issuer),
		jwt.WithAudience(v.audience...), jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	v.omitted.validator = jwt.NewValidator(expiration, jwt.WithIssuedAt(), jwt.WithIssuer(o.Issuer),
		jwt.WithLeeway(o.Leeway), jwt.WithTimeFunc(o.Now))
	return v
}

// Issuers returns the one issuer.
func (v *jwtVerifier) Issuers() []string { return []string{v.issuer} }

// OpenTokenTypes returns the issuer if only the claims of its JWTs tell the kind, by default or by a setting.
func (v *jwtVerifier) OpenTokenTypes() []string {
	if slices.ContainsFunc(v.types, isAmbiguous) && len(v.kinds.required) == 0 {
		return v.Issuers()
	}
	return nil
}

// knowsHeader tells whether a JWT with the same header has come before, and was genuine.
func (v *jwtVerifier) knowsHeader(token string) bool {
	j, err := jose.Split(token)
	return err == nil && v.headers.Find(j.Header) != nil
}

// header returns what the token's header says, and whether that was known.
func (v *jwtVerifier) header(j jose.JWS) (h jose.Header, known bool, err error) {
	if k := v.headers.Find(j.Header); k != nil {
		return *k, true, nil
	}
	if h, err = j.ReadHeader(); err != nil {
		return h, false, malformed(err)
	}
	return h, false, nil
}

// verify does nothing that costs before the token's form, type and algorithm are right, fetches no key for another
// issuer's token, and reads no claim before the signature is right: many claims cost several times as much. It returns the
// keys that it found the token's among as well; nil if that is not known.
func (v *jwtVerifier) verify(ctx context.Context, token string, j jose.JWS, h jose.Header) (*verifiedToken, *keys.Set, error) {
	s, err := jose.JWS{Payload: j.Payload, Signature: j.Signature}.Decode()
	if err != nil {
		return nil, nil, malformed(err)
	}
	defer s.Close()
	if !jose.IsType(v.types, h.Type) {
		return nil, nil, v.wrongType(h.Type)
	}
	a, err := v.algorithm(h)
	if err != nil {
		return nil, nil, err
	}
	switch iss, err := strictjson.PeekString(s.Payload, "iss"); {
	case err != nil:
		return nil, nil, &Error{Reason: ErrTokenMalformed, Err: err}
	case !v.omitted.mayBe(iss, v.issuer):
		return nil, nil, v.wrongIssuer(iss)
	}
	begun := v.fetches()
	keys, err := v.verifySignature(ctx, h, a, token, j.Signed, s.Signature)
	if err != nil && v.renewed(ctx, h, keys, begun, s.Payload, err) {
		keys, err = v.verifySignature(ctx, h, a, token, j.Signed, s.Signature)
	}
	if err != nil {
		return nil, nil, err
	}
	e, err := v.claims(s.Payload, h)
	if err != nil {
		return nil, nil, err
	}
	return e, keys, nil
}

// fetches returns how many fetches of the issuer's keys have begun.
func (v *jwtVerifier) fetches() int64 {
	if remote, ok := v.known.(*keys.Remote); ok {
		return remote.Fetches()
	}
	return 0
}

// renewed tells whether the issuer has other keys by now than those that did not verify a token. A token that names no
// key says nothing of a rotation, nor does one whose key was replaced under its name. Keys are fetched only for a token
// that would pass otherwise, and its claims are read only when the keys may be fetched.
func (v *jwtVerifier) renewed(ctx context.Context, h jose.Header, than *keys.Set, begun int64, payload []byte, err error) bool {
	remote, ok := v.known.(*keys.Remote)
	if !ok || than == nil || !than.Has(keyOf(h)) {
		return false
	}
	if reason := errorOf(err, ErrTokenKey).Reason; reason != ErrTokenKey && reason != ErrTokenSignature {
		return false
	}
	if !remote.MayBeRenewed(than) {
		return false
	}
	_, wrong := v.claims(payload, h)
	return wrong == nil && remote.Renewed(ctx, than, begun)
}

func (v *jwtVerifier) algorithm(h jose.Header) (jose.Algorithm, error) {
	i := slices.IndexFunc(v.algorithms, func(a jose.Algorithm) bool { return a.Name == h.Algorithm })
	if i < 0 {
		return jose.Algorithm{}, v.wrongAlgorithm(h.Algorithm)
	}
	return v.algorithms[i], nil
}

func (v *jwtVerifier) verifySignature(
	ctx context.Context, h jose.Header, a jose.Algorithm, token, signed string, signature []byte,
) (*keys.Set, error) {
	key, keys, err := v.key(ctx, h, a, token)
	if err != nil {
		return keys, err
	}
	several, ok := key.([]any)
	if !ok {
		if a.Method.Verify(signed, signature, key) != nil {
			return keys, v.wrongSignature(h)
		}
		return keys, nil
	}
	for _, key := range several {
		if a.Method.Verify(signed, signature, key) == nil {
			return keys, nil
		}
	}
	return keys, v.wrongSignature(h)
}

// key lets keyfunc choose the issuer's key for the token, or a []any of the few that have one name. It returns the keys that it was
// looked for among as well, with an error, too; nil if that is not known.
func (v *jwtVerifier) key(ctx context.Context, h jose.Header, a jose.Algorithm, token string) (any, *keys.Set, error) {
	alg := a.Method.Alg() // keyfunc compares it with the JWK's; EdDSA for Ed25519
	if v.known == nil {
		key, err := v.foreignKey(ctx, h, a, token)
		return key, nil, err
	}
	if h.By == jose.ByKeyID {
		set := v.known.Snapshot()
		if key, ok := set.Known(h.KeyID, alg, v.keyIssuer); ok {
			return key, set, nil
		}
	}
	found, set, err := v.known.Find(ctx, keys.Wanted{Hint: keys.Hint{ID: keyOf(h), Algorithm: alg}, Issuer: v.keyIssuer})
	if err != nil {
		return nil, set, keyError(ctx, err)
	}
	switch {
	case len(found) == 1:
		return found[0], set, nil
	case h.By == "":
		// Trying them all would let a token pass that names no key, at any cost.
		return nil, set, &Error{Reason: ErrTokenKey,
			Err: fmt.Errorf("the token names no key, and %d of the issuer fit its algorithm", len(found))}
	}
	return found, set, nil
}

// keyOf is what a token's header calls its key.
func keyOf(h jose.Header) keys.ID { return keys.ID{By: h.By, Name: h.KeyID} }

// foreignKey lets a KeySource of somebody else's choose, and then holds the choice against the algorithm.
func (v *jwtVerifier) foreignKey(ctx context.Context, h jose.Header, a jose.Algorithm, token string) (any, error) {
	t := &jwt.Token{
		Raw: token, Method: a.Method, Header: map[string]any{"alg": a.Method.Alg(), "typ": h.Type},
		Claims: jwt.RegisteredClaims{Issuer: v.keyIssuer},
	}
	if h.By != "" {
		t.Header[h.By] = h.KeyID
	}
	key, err := v.keys.KeyfuncCtx(ctx)(t)
	if err != nil {
		return nil, endOf(ctx, errorOf(err, keyReason(ctx)))
	}
	// Without a kid keyfunc returns every key. Trying them all would let a token pass that names no key, at any cost.
	if set, ok := key.(jwt.VerificationKeySet); ok {
		var fit []jwt.VerificationKey
		for _, k := range set.Keys {
			if a.Fits(k) {
				fit = append(fit, k)
			}
		}
		if len(fit) != 1 {
			return nil, &Error{Reason: ErrTokenKey,
				Err: fmt.Errorf("Options.Keys has returned %d keys that fit alg %q, want one: have the token name its key by kid",
					len(fit), a.Name)}
		}
		key = fit[0]
	}
	if !a.Fits(key) {
		return nil, &Error{Reason: ErrTokenKey, Err: fmt.Errorf("Options.Keys has returned a %T, which is no key for alg %q, or too "+
			"small", key, a.Name)}
	}
	return key, nil
}
