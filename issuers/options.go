package issuers

import (
	"context"
	"time"

	"github.com/seed-171ab058/popauth"
)

// Options configure a Verifier. Verifiers, Resolve or both must be set.
type Options struct {
	_ [0]func()

	// Verifiers are those of the issuers that are known from the start, by iss.
	Verifiers map[string]popauth.Verifier

	// Resolve finds the Verifier of an issuer that is in neither Verifiers nor memory, for more tenants than a
	// configuration has room for. The iss is what the sender of an unverified token claims. No Verifier, or an error
	// that wraps popauth.ErrTokenIssuer, means that there is no such issuer; any other error is answered with 503, and Resolve is
	// not asked about that issuer again for a second. The context
	// is that of no request, since all who wait for an issuer share one call; it ends after Timeout. If nil, there are
	// no other issuers.
	//
	// Anybody can claim any iss, so answer from something local, and return what you have returned before where nothing
	// has changed: keep the popauth.RemoteKeys of each issuer, as the example does, or its keys are fetched again each time.
	//
	// A Verifier takes the place of one in use as soon as it is ready. Those of popauth.NewJWTVerifier and introspection.New tell
	// by methods Ready() bool and Load(context.Context) error, and one of your own may too. One with a method Size() int64 counts
	// for so many bytes of memory beside the tokens that it remembers. popauth.NewJWTVerifier has all methods that are asked for.
	Resolve func(ctx context.Context, iss string) (popauth.Verifier, error)

	// Entries is the number of resolved issuers that are kept at most, those used last. Only an issuer of whom a genuine
	// token has come takes the place of another such one. The rest have half as many places of their own, and none of
	// them makes room for the next before RememberUnknown is over: beyond that they are answered with 503. If zero, 1000.
	Entries int

	// Bytes bounds the tokens that all of the Verifiers together remember, if popauth.NewJWTVerifier has made them. What is full
	// makes room where most is held. If zero, 16 MiB.
	Bytes int64

	// Remember is how long a resolved issuer is kept before Resolve is asked anew. The Verifier that there is serves
	// meanwhile, and until Resolve has found another whose keys can be had, up to MaxAge. If zero, one hour.
	Remember time.Duration

	// MaxAge is the age after which a resolved Verifier no longer serves though Resolve fails. If zero, 24 hours, or
	// Remember if that is longer.
	MaxAge time.Duration

	// RememberUnknown is how long Resolve is not asked again about an issuer that it does not know. If zero, 10 s.
	RememberUnknown time.Duration

	// Calls is the number of calls of Resolve at once, a quarter of which are kept for issuers of whom genuine tokens have
	// come lately. A request for which there is none left waits; if its turn doesn't come in time it is refused with
	// popauth.ErrOverloaded if the calls before it were answered, else with popauth.ErrUnavailable. If zero, 64.
	Calls int

	// Timeout bounds one call of Resolve, if that heeds its context. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a call of Resolve. If zero, 5 s.
	Wait time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}
