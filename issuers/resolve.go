package issuers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/backoff"
	"github.com/seed-171ab058/popauth/internal/calls"
	"github.com/seed-171ab058/popauth/internal/memory"
)

// tenant returns who decides about an issuer's tokens, or ErrTokenIssuer.
func (i *Verifier) tenant(ctx context.Context, iss string) (*tenant, error) {
	key := sha256.Sum256([]byte(iss))
	r, ok := i.known(iss, key)
	switch {
	case !ok:
		var err error
		r, err = i.calls.Do(ctx, i.question(iss, key, func() (resolution, bool) { return i.known(iss, key) }))
		if err != nil {
			return nil, popauth.Unavailable(ctx, err)
		}
	case r.stale: // it serves meanwhile
		i.calls.Begin(i.question(iss, key, func() (resolution, bool) {
			r, ok := i.known(iss, key)
			return r, ok && !r.stale
		}))
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case r.tenant == nil:
		return nil, popauth.ErrTokenIssuer
	}
	return r.tenant, nil
}

func (i *Verifier) question(iss string, key [sha256.Size]byte, known func() (resolution, bool)) calls.Question[string, resolution] {
	return calls.Question[string, resolution]{
		Key: iss, Known: known, Lately: i.tenants.lately(key),
		Ask: func(ctx context.Context) (resolution, error) { return i.resolve(ctx, iss, key) },
	}
}

// known returns what is known about an issuer.
func (i *Verifier) known(iss string, key [sha256.Size]byte) (resolution, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if t, ok := i.static[iss]; ok {
		return resolution{tenant: t}, true
	}
	if i.options.Resolve == nil {
		return resolution{}, true
	}
	return i.tenants.known(key, i.options.Now())
}

// serves tells whether there is a Verifier for the issuer meanwhile.
func (i *Verifier) serves(iss string, key [sha256.Size]byte) bool {
	r, ok := i.known(iss, key)
	return ok && r.tenant != nil && i.tenants.lately(key)
}

// resolve asks Resolve. An answer during which issuers were changed serves those who have waited for it, and is not kept.
func (i *Verifier) resolve(ctx context.Context, iss string, key [sha256.Size]byte) (resolution, error) {
	i.mu.RLock()
	before := i.changes
	i.mu.RUnlock()
	v, err := i.ask(ctx, iss)
	if isUnknown(err) {
		v, err = nil, nil
	}
	if err == nil && v != nil {
		err = fitting(iss, v)
	}
	if err == nil && v != nil && i.serves(iss, key) && !ready(v) {
		return i.succession(iss, key, v, before), nil
	}
	return i.keep(key, v, err, before)
}

// keep keeps what Resolve has said, unless issuers were changed since.
func (i *Verifier) keep(key [sha256.Size]byte, v popauth.Verifier, err error, before int) (resolution, error) {
	r := resolution{}
	switch {
	case err != nil:
		r.err = unresolved(fmt.Errorf("resolve issuer: %w", memory.Cut(err)))
	case v != nil:
		r.tenant = &tenant{verifier: v, resolved: true}
	}
	failed := r.err // an answer that there is no place for is one: strangers can bring that about
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.changes == before {
		r = i.tenants.keep(key, r, i.options.Now())
	}
	return r, failed
}

// unresolved is the refusal for an issuer of whom Resolve can't tell now.
func unresolved(err error) error {
	return &popauth.Error{Reason: popauth.ErrUnavailable, Err: backoff.After(err, backoff.First)}
}

// isUnknown tells whether an error of Resolve means that there is no such issuer. It goes by the first Reason: an outage that
// wraps this one is no word on the issuer.
func isUnknown(err error) bool {
	if e, ok := errors.AsType[*popauth.Error](err); ok && e != nil {
		return e.Reason == popauth.ErrTokenIssuer
	}
	r, ok := errors.AsType[popauth.Reason](err)
	return ok && r == popauth.ErrTokenIssuer
}

var errNotReady = errors.New("the keys of the Verifier that Resolve has found are being fetched")

// succession lets a Verifier take the place of the one in use as soon as it is ready. That is waited for in no slot of
// Resolve: issuers whose keys hang would keep all others from being resolved. Whoever waits already is served by the new one.
func (i *Verifier) succession(iss string, key [sha256.Size]byte, v popauth.Verifier, before int) resolution {
	i.mu.Lock()
	if i.changes == before { // Resolve is not asked again meanwhile
		i.tenants.keep(key, resolution{err: unresolved(errNotReady)}, i.options.Now())
	}
	i.mu.Unlock()
	i.successions.Begin(calls.Question[string, resolution]{
		Key: iss, Lately: true, Known: func() (resolution, bool) { return resolution{}, false },
		Ask: func(ctx context.Context) (resolution, error) { return i.keep(key, v, succeed(ctx, v), before) },
	})
	return resolution{tenant: &tenant{verifier: v, resolved: true}}
}

// judge takes into account what a token of a resolved issuer has come to. Only a genuine one is a use of the issuer's
// place.
func (i *Verifier) judge(key [sha256.Size]byte, t *tenant, genuine bool) {
	switch proven := t.proven.Load(); {
	case genuine && proven:
		i.tenants.proven.Touch(key)
		i.tenants.weigh(key, t)
	case genuine:
		i.mu.Lock() // Remove comes before or after
		defer i.mu.Unlock()
		i.tenants.prove(key, t)
	case !proven:
		i.tenants.weigh(key, t)
	}
}

// ask calls Resolve. A panic is an error like any other: it has a pause, too.
func (i *Verifier) ask(ctx context.Context, iss string) (v popauth.Verifier, err error) {
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, fmt.Errorf("it panicked: %v", p)
		}
	}()
	return i.options.Resolve(ctx, iss)
}
