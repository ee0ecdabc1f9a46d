package bench

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/seed-171ab058/popauth"
)

// memory is what a Guard may remember of verified tokens.
type memory int

const (
	nothing    memory = iota // each token is verified each time
	everything               // its default
)

// remembering sets how many verified tokens a Guard remembers: its default, or, negative, none. Every token that is
// called new in a result was verified under nothing; every repeated one under everything.
func remembering(o *popauth.Options, m memory) {
	if f := reflect.ValueOf(o).Elem().FieldByName("Remember"); f.IsValid() && m == nothing {
		f.SetInt(-1)
	}
}

func (a API) popauth(ctx context.Context, m memory, k popauth.RemoteKeysOptions, confirmers ...popauth.Confirmer) (*popauth.Guard, error) {
	var err error
	k.Issuer = a.Issuer
	if k.Client, err = a.Client(); err != nil {
		return nil, err
	}
	keys, err := popauth.NewRemoteKeys(k)
	if err != nil {
		return nil, err
	}
	if err := keys.Preload(ctx); err != nil {
		return nil, err
	}
	o := popauth.Options{
		Issuer: a.Issuer, Audience: []string{Audience}, Keys: keys, Algorithms: []string{a.Algorithm}, Confirmers: confirmers,
	}
	remembering(&o, m)
	return popauth.New(o)
}

func popauthToken(m memory) func(context.Context, API) (func(http.Handler) http.Handler, error) {
	return func(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
		guard, err := a.popauth(ctx, m, popauth.RemoteKeysOptions{})
		if err != nil {
			return nil, err
		}
		return guard.Authenticate, nil
	}
}

func popauthChain(m memory) func(context.Context, API) (func(http.Handler) http.Handler, error) {
	return func(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
		guard, err := a.popauth(ctx, m, popauth.RemoteKeysOptions{})
		if err != nil {
			return nil, err
		}
		authorize := guard.Authorize(popauth.Scope(Scope))
		return func(next http.Handler) http.Handler { return guard.Confirm(authorize(next)) }, nil
	}
}

func popauthDPoP(m memory) func(context.Context, API) (func(http.Handler) http.Handler, error) {
	return func(ctx context.Context, a API) (func(http.Handler) http.Handler, error) {
		guard, err := a.popauth(ctx, m, popauth.RemoteKeysOptions{}, popauth.DPoP{MaxAge: time.Minute})
		if err != nil {
			return nil, err
		}
		return guard.Confirm, nil
	}
}
