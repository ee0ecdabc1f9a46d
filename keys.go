package popauth

import (
	"context"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth/internal/keys"
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
	set, err := keys.Read(jwks)
	if err != nil {
		return nil, fmt.Errorf("popauth: StaticKeys: %w", err)
	}
	return staticKeys{keys.Static{Set: set}}, nil
}

type staticKeys struct{ own keys.Static }

// KeyfuncCtx returns keyfunc's choice for a token.
func (s staticKeys) KeyfuncCtx(ctx context.Context) jwt.Keyfunc { return chooseFrom(ctx, s.own) }

// ownOf returns what a KeySource of ours has its keys from; nil for any other. It is a type switch, not an interface: a foreign
// type that embeds one of these, and chooses differently, would inherit its methods.
func ownOf(source KeySource) keys.Source {
	switch k := source.(type) {
	case *RemoteKeys:
		return k.own()
	case staticKeys:
		return k.own
	}
	return nil
}

// chooseFrom returns keyfunc's choice in golang-jwt's way: one key, or several to be tried.
func chooseFrom(ctx context.Context, from keys.Source) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		if key, ok := from.Snapshot().KnownTo(t); ok {
			return key, nil
		}
		w, err := keys.WantedBy(t)
		if err != nil {
			return nil, keyError(ctx, err)
		}
		found, _, err := from.Find(ctx, w)
		if err != nil {
			return nil, keyError(ctx, err)
		}
		return keys.Choice(found, w), nil
	}
}

// keyError gives an error of internal/keys its Reason: the key is not there, or the keys can't be had, or the request has ended.
func keyError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*keys.NotFoundError](err); ok {
		return &Error{Reason: ErrTokenKey, Err: e.Err}
	}
	return endOf(ctx, &Error{Reason: ErrUnavailable, Err: err}) // whatever a fetch has failed with
}
