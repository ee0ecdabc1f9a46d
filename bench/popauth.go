package bench

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
)

// memory is what a Guard remembers of verified tokens.
type memory int

const (
	// few are so many that each token of a rotation is forgotten before its next turn: every one is verified, and costs
	// what being remembered costs too.
	few memory = iota

	// usual is what a Guard remembers by itself.
	usual
)

// remembering sets how many verified tokens a Guard remembers. Every token that is called new in a result was verified
// under few, every repeated one remembered under usual.
func remembering(o *popauth.Options, m memory) {
	if m == few {
		o.Remember = Rotation / 32
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
		Logger: slog.New(slog.DiscardHandler), // as the others, which log nothing
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
		proofs, err := dpop.New(dpop.Options{URL: dpop.RequestURL, MaxAge: time.Minute})
		if err != nil {
			return nil, err
		}
		guard, err := a.popauth(ctx, m, popauth.RemoteKeysOptions{}, proofs)
		if err != nil {
			return nil, err
		}
		return guard.Confirm, nil
	}
}
