package popauth

import (
	"context"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/jose"
)

// KeySource finds the key that a token names. RemoteKeys and StaticKeys are made for it; a Keyfunc of keyfunc/v3 is
// one too. Whatever it returns is used only if it fits the token's algorithm in kind, curve and size. An error that
// wraps ErrUnavailable is answered with 503, any other with 401.
type KeySource interface {
	KeyfuncCtx(context.Context) jwt.Keyfunc
}

// StaticKeys returns the public keys of a JWK Set (RFC 7517, section 5) that never changes. Keys that can't verify a
// token are left out: private, symmetric, for encryption, too small, of an unknown kind; and of more than 200, those
// after the first 200. It is an error if none is left; the error names each key and what is wrong with it. A key with a
// member issuer, as Microsoft Entra's have, counts for the tokens of that issuer alone, in which {tenantid} stands for
// any text of one segment; see Options.KeyIssuer.
//
// A token names its key by kid; one without a kid by x5t#S256 or x5t (RFC 7515, sections 4.1.7 and 4.1.8). Of the keys
// with that name the first three that fit the algorithm are tried. A token that names no key is accepted if only one key
// fits its algorithm.
func StaticKeys(jwks []byte) (KeySource, error) {
	set, err := readKeySet(jwks)
	if err != nil {
		return nil, fmt.Errorf("popauth: StaticKeys: %w", err)
	}
	return staticKeys{set}, nil
}

type staticKeys struct{ set *keySet }

// KeyfuncCtx returns keyfunc's choice for a token.
func (s staticKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc { return chooseFrom(ctx, s) }

func (s staticKeys) snapshot() *keySet { return s.set }

func (s staticKeys) find(_ context.Context, w wanted) ([]any, *keySet, error) {
	keys, err := s.set.find(w)
	return keys, s.set, err
}

// ownKeys is a KeySource of ours. Each change of its keys is another keySet. One that no longer counts never counts
// again.
type ownKeys interface {
	snapshot() *keySet // the keys that count now; nil if none do

	// find returns the keys to try, as keyfunc chooses them, and those that they are of.
	find(context.Context, wanted) ([]any, *keySet, error)
}

// ownOf returns a source of ours; nil for any other. It is a type switch, not an interface: a foreign type that embeds
// one of these, and chooses differently, would inherit its methods.
func ownOf(keys KeySource) ownKeys {
	switch k := keys.(type) {
	case *RemoteKeys:
		return k
	case staticKeys:
		return k
	}
	return nil
}

// chooseFrom returns keyfunc's choice in golang-jwt's way: one key, or several to be tried.
func chooseFrom(ctx context.Context, from ownKeys) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		w, err := wantedBy(t)
		if err != nil {
			return nil, err
		}
		keys, _, err := from.find(ctx, w)
		if err != nil {
			return nil, err
		}
		if len(keys) == 1 && w.by != "" {
			return keys[0], nil
		}
		set := jwt.VerificationKeySet{}
		for _, k := range keys {
			set.Keys = append(set.Keys, k)
		}
		return set, nil
	}
}

// wantedBy reads what a token of golang-jwt says about its key.
func wantedBy(t *jwt.Token) (wanted, error) {
	w := wanted{issuer: issuerOf(t)}
	w.alg, _ = t.Header["alg"].(string)
	for _, by := range namings {
		v, ok := t.Header[by]
		if !ok {
			continue
		}
		name, ok := v.(string)
		if by == jose.ByKeyID {
			if !ok || name == "" || len(name) > jose.MaxKeyID {
				return wanted{}, &Error{Reason: ErrTokenKey, Err: errUnfitKeyID}
			}
		} else if name = jose.ThumbprintName(name); name == "" {
			continue
		}
		w.keyID = keyID{by, name}
		break
	}
	return w, nil
}

// issuerOf returns the iss that a token is held against; "" if there is none.
func issuerOf(t *jwt.Token) string {
	if t.Claims == nil {
		return ""
	}
	iss, _ := t.Claims.GetIssuer()
	return iss
}
