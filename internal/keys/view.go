package keys

import (
	"context"
	"errors"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// keyView is a set as keyfunc sees it: the keys that count for a token, one under each name. keyfunc knows no other name
// than kid, returns one key for it, and compares neither issuers nor kinds of keys. So where a token names its key by a
// thumbprint, that is the name, and where a few keys share a name, there is a view of each.
type keyView struct {
	jwkset.Storage // nil: keyfunc only reads
	set            *Set
	token          Wanted
	nth            int // of the keys that share a name
}

// KeyRead returns the one key of that name.
func (v keyView) KeyRead(_ context.Context, name string) (jwkset.JWK, error) {
	w := v.token
	w.Name = name
	named := v.set.fitting(v.set.named[w.ID], w)
	if v.nth >= len(named) {
		return jwkset.JWK{}, v.set.missing(w)
	}
	return named[v.nth].jwk()
}

// KeyReadAll returns what counts for a token that names no key.
func (v keyView) KeyReadAll(context.Context) ([]jwkset.JWK, error) {
	var all []jwkset.JWK
	for _, k := range v.set.fitting(v.set.all, v.token) {
		j, err := k.jwk()
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}

// jwk is the key as keyfunc sees it. It is made when it is needed: it is three times as large as what it says, and a set
// is kept.
func (k issuerKey) jwk() (jwkset.JWK, error) {
	return jwkset.NewJWKFromKey(k.key, jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{ALG: jwkset.ALG(k.alg)}, Validate: jwkset.JWKValidateOptions{SkipAll: true},
	})
}

// chosenBy lets keyfunc choose the key for a token: several where the token names none.
func chosenBy(s jwkset.Storage, w Wanted) ([]any, error) {
	choose, err := keyfunc.New(keyfunc.Options{Storage: s})
	if err != nil {
		return nil, &NotFoundError{err}
	}
	t := &jwt.Token{Header: map[string]any{"alg": w.Algorithm}}
	if w.By != "" {
		t.Header[jwkset.HeaderKID] = w.Name
	}
	key, err := choose.KeyfuncCtx(context.Background())(t) // nothing waits: the keys are there
	if own, ok := errors.AsType[*NotFoundError](err); ok {
		return nil, own // without the words that keyfunc joins to it
	}
	if err != nil {
		return nil, &NotFoundError{err}
	}
	set, several := key.(jwt.VerificationKeySet)
	if !several {
		return []any{key}, nil
	}
	var keys []any
	for _, k := range set.Keys {
		keys = append(keys, k)
	}
	return keys, nil
}
