// Package patience shares the time of one decision between the paths of a certificate to its roots. A revocation check is
// called for one path after the other, and couldn't tell otherwise that they belong to one request.
package patience

import (
	"context"
	"time"
)

// Place is where one way stands among those of a decision.
type Place struct {
	Began time.Time // the decision
	Left  int       // ways that haven't been asked about, with this one
}

type key struct{}

// With returns a context for one way.
func With(ctx context.Context, p Place) context.Context { return context.WithValue(ctx, key{}, p) }

// Share is how long this way may take, of the time for the decision: all of it where the context says nothing.
func Share(ctx context.Context, whole time.Duration) time.Duration {
	p, ok := ctx.Value(key{}).(Place)
	if !ok {
		return whole
	}
	return max(whole-time.Since(p.Began), 0) / time.Duration(max(p.Left, 1))
}
