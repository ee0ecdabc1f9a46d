package issuers

import (
	"context"
	"slices"
	"sync"

	"errors"
	"maps"

	"github.com/seed-171ab058/popauth"
)

// What a Verifier may be able to do for whoever keeps it for a tenant. One that can't needs nothing of it.
type (
	// divided is one that has a few of others decide, such as JWTOr's.
	divided interface{ Verifiers() []popauth.Verifier }

	// prepared is one that needs something before it can decide.
	prepared interface {
		Ready() bool                // tells whether that is there, and begins to fetch it
		Load(context.Context) error // waits for it
	}

	// watched is one whose need of memory changes without a token.
	watched interface {
		Watch(who any, changed func())
		Unwatch(who any)
	}

	// sized is one that says about how many bytes it needs, beside the tokens that it remembers.
	sized interface{ Size() int64 }

	// remembering is one that remembers tokens, within a budget that others have too.
	remembering interface {
		Share(*popauth.Budget)
		Retire()
	}
)

// parts returns the Verifiers that v has decide, or v itself, as far as they are of that kind.
func parts[T any](v popauth.Verifier) []T {
	if d, ok := v.(divided); ok {
		var all []T
		for _, part := range d.Verifiers() {
			all = append(all, parts[T](part)...)
		}
		return all
	}
	if own, ok := v.(T); ok {
		return []T{own}
	}
	return nil
}

// ready tells whether a Verifier can take the place of one in use: its keys can be had, and the endpoint that it asks. What it
// lacks is being fetched afterwards.
func ready(v popauth.Verifier) bool {
	all := true
	for _, p := range parts[prepared](v) {
		all = p.Ready() && all
	}
	return all
}

// succeed makes a Verifier ready. Until then the one in use serves.
func succeed(ctx context.Context, v popauth.Verifier) error {
	for _, p := range parts[prepared](v) {
		if err := p.Load(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sizeOf is about what a Verifier needs beside the tokens that it remembers, in bytes, as far as it says.
func sizeOf(v popauth.Verifier) int64 {
	size := int64(0)
	for _, s := range parts[sized](v) {
		size += max(s.Size(), 0)
	}
	return size
}

// shareBudget lets a Verifier remember tokens within the budget.
func shareBudget(v popauth.Verifier, b *popauth.Budget) {
	for _, r := range parts[remembering](v) {
		r.Share(b)
	}
}

// retire lets a Verifier forget the tokens that it has verified.
func retire(v popauth.Verifier) { retireUnless(v, nil) }

// retireUnless is retire, but for what the next Verifier goes on with.
func retireUnless(v, next popauth.Verifier) {
	going := parts[remembering](next)
	for _, r := range parts[remembering](v) {
		if !slices.Contains(going, r) {
			r.Retire()
		}
	}
}

// prepare returns the Verifiers of the issuers that are configured or were added.
func (i *Verifier) prepare() []popauth.Verifier {
	i.mu.RLock()
	defer i.mu.RUnlock()
	var all []popauth.Verifier
	for _, iss := range slices.Sorted(maps.Keys(i.static)) {
		all = append(all, i.static[iss].verifier)
	}
	return all
}

// Ready tells whether the Verifiers of all issuers that are configured or were added can decide, and begins to fetch the keys that
// are missing; see popauth.Guard.Ready. Those that Options.Resolve finds are fetched when they are first needed.
func (i *Verifier) Ready() bool {
	if i == nil {
		return false
	}
	all := true
	for _, v := range i.prepare() {
		all = ready(v) && all
	}
	return all
}

// Load waits until they can, no longer than ctx. One issuer that fails keeps nobody from the others: the error names all of them.
func (i *Verifier) Load(ctx context.Context) error {
	if i == nil {
		return popauth.ErrUnconfigured
	}
	all := i.prepare()
	wrong := make([]error, len(all))
	var calls sync.WaitGroup
	for n, v := range all { // one that hangs takes no time from the others
		calls.Go(func() { wrong[n] = succeed(ctx, v) })
	}
	calls.Wait()
	return errors.Join(wrong...)
}
