package popauth

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// KeySource finds the key that a token names. RemoteKeys and StaticKeys are made for it; a Keyfunc of keyfunc/v3 is
// one too. Whatever it returns is used only if it fits the token's algorithm in kind, curve and size. An error that
// wraps ErrUnavailable is answered with 503, any other with 401.
type KeySource interface {
	KeyfuncCtx(context.Context) jwt.Keyfunc
}

// StaticKeys returns the public keys of a JWK Set (RFC 7517, section 5) that never changes. Keys that can't verify a
// token are left out: private, symmetric, for encryption, too small, of an unknown kind; and of more than 200, those
// after the first 200. It is an error if none is left.
func StaticKeys(jwks []byte) (KeySource, error) {
	set, err := readKeySet(jwks)
	if err != nil {
		return nil, fmt.Errorf("popauth: StaticKeys: %w", err)
	}
	return staticKeys{newKeyChoice(staticStorage{set: set}), set}, nil
}

type staticKeys struct {
	keyChoice
	set *keySet
}

func (s staticKeys) snapshot() *keySet { return s.set }

type staticStorage struct {
	jwkset.Storage // nil: keyfunc only reads
	set            *keySet
}

func (s staticStorage) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	return s.set.find(ctx, kid)
}

func (s staticStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	return s.set.fitting(ctx), nil
}

// keyChoice is keyfunc over a storage of ours. It tells the storage the token's algorithm, since an issuer may have
// several keys under one kid, and keyfunc compares none for a token without.
type keyChoice struct{ choose keyfunc.Keyfunc }

func newKeyChoice(s jwkset.Storage) keyChoice {
	k, _ := keyfunc.New(keyfunc.Options{Storage: s}) // fails without a storage only
	return keyChoice{k}
}

// KeyfuncCtx returns keyfunc's choice for a token.
func (c keyChoice) KeyfuncCtx(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		return c.choose.KeyfuncCtx(context.WithValue(ctx, algorithmKey{}, t.Header["alg"]))(t)
	}
}

type algorithmKey struct{}

// snapshots is a KeySource that tells when its keys change: each change is another keySet. One that no longer counts
// never counts again.
type snapshots interface {
	snapshot() *keySet // the keys that count now; nil if none do
}

// keyName is what a token says about its key.
type keyName struct{ kid, alg string }

// keySet is a JWK Set with what can verify tokens in it, and nothing else. It is immutable.
type keySet struct {
	byID   map[string][]jwkset.JWK
	all    []jwkset.JWK
	chosen map[keyName]any // what keyfunc chooses
}

// known takes no lock and allocates nothing.
func (s *keySet) known(kid, alg string) (any, bool) {
	if s == nil {
		return nil, false
	}
	key, ok := s.chosen[keyName{kid, alg}]
	return key, ok
}

// find returns the key of that kid which fits the token's algorithm, else any of that kid.
func (s *keySet) find(ctx context.Context, kid string) (jwkset.JWK, error) {
	keys := s.byID[kid]
	if len(keys) == 0 {
		return jwkset.JWK{}, &Error{Reason: ErrTokenKey, Err: jwkset.ErrKeyNotFound}
	}
	if i := slices.IndexFunc(keys, fittingTo(ctx)); i >= 0 {
		return keys[i], nil
	}
	return keys[0], nil
}

// fitting returns the keys that fit the token's algorithm.
func (s *keySet) fitting(ctx context.Context) []jwkset.JWK {
	fits := fittingTo(ctx)
	return slices.DeleteFunc(slices.Clone(s.all), func(k jwkset.JWK) bool { return !fits(k) })
}

func fittingTo(ctx context.Context) func(jwkset.JWK) bool {
	alg, _ := ctx.Value(algorithmKey{}).(string)
	a, ok := findAlgorithm(alg)
	return func(k jwkset.JWK) bool {
		own := k.Marshal().ALG.String()
		return ok && a.fits(k.Key()) && (own == "" || own == alg)
	}
}

// choose asks keyfunc for every choice that a token could ask it for.
func (s *keySet) choose() map[keyName]any {
	choice, chosen := newKeyChoice(staticStorage{set: s}), map[keyName]any{}
	for kid := range s.byID {
		for _, a := range algorithms {
			alg := a.method.Alg()
			t := &jwt.Token{Header: map[string]any{"kid": kid, "alg": alg}}
			if key, err := choice.KeyfuncCtx(context.Background())(t); err == nil && a.fits(key) {
				chosen[keyName{kid, alg}] = key
			}
		}
	}
	return chosen
}

// maxKeys is how many keys of a set are looked at.
const maxKeys = 200

var errNoKey = errors.New("no usable key in the JWK Set")

// readKeySet reads a JWK Set. A key that is strange is left out and spoils no other (RFC 7517, section 5).
func readKeySet(jwks []byte) (*keySet, error) {
	set := &keySet{byID: map[string][]jwkset.JWK{}}
	err := strictjson.Members(jwks, []string{"keys"}, func(name string, v jsontext.Value) error {
		if name != "keys" {
			return nil
		}
		keys, err := strictjson.Elements(v)
		if err != nil {
			return err
		}
		for _, raw := range keys[:min(len(keys), maxKeys)] {
			if k, ok := readKey(raw); ok {
				if kid := k.Marshal().KID; kid != "" {
					set.byID[kid] = append(set.byID[kid], k)
				}
				set.all = append(set.all, k)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("JWK Set: %w", err)
	}
	if len(set.all) == 0 {
		return nil, errNoKey
	}
	set.chosen = set.choose()
	return set, nil
}

// readKey leaves parsing to jwkset and takes away before what must not make a good key unusable: the certificates
// that may stand beside it, which nothing here relies on.
func readKey(raw jsontext.Value) (jwkset.JWK, bool) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil || len(m.KID) > maxKeyID {
		return jwkset.JWK{}, false
	}
	if m.D != "" || m.K != "" || m.P != "" || m.Q != "" || m.DP != "" || m.DQ != "" || m.QI != "" || len(m.OTH) > 0 {
		return jwkset.JWK{}, false // a key that everybody can read is nobody's
	}
	if m.USE != "" && m.USE != jwkset.UseSig || len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return jwkset.JWK{}, false
	}
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	if m.ALG == "Ed25519" { // RFC 9864: jwkset and keyfunc know it as EdDSA
		m.ALG = jwkset.AlgEdDSA
	}
	k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true})
	if err != nil {
		return jwkset.JWK{}, false
	}
	fits := slices.ContainsFunc(algorithms, func(a algorithm) bool {
		return a.fits(k.Key()) && (m.ALG == "" || m.ALG.String() == a.name)
	})
	return k, fits && isSound(k.Key())
}

// isSound leaves out RSA keys that crypto/rsa would refuse only when a token is verified: too late for another key of
// the same kid, and for telling a set without any.
func isSound(key any) bool {
	k, ok := key.(*rsa.PublicKey)
	return !ok || k.N.Bit(0) == 1 && k.E&1 == 1 // jwkset holds E to its range
}
