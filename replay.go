package popauth

import (
	"context"
	"time"
)

// ReplayStore remembers which proofs have been used, so that none is accepted twice (RFC 9449, section 11.1).
type ReplayStore interface {
	// Use marks an id as used until a time. It returns true exactly once for an id until then, whoever asks at the
	// same moment. An error means that the store can't tell; the request is answered with 503.
	Use(ctx context.Context, id string, until time.Time) (fresh bool, err error)
}
