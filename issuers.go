package popauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-171ab058/popauth/internal/strictjson"
)

// IssuersOptions configure Issuers. Verifiers, Resolve or both must be set.
type IssuersOptions struct {
	_ [0]func()

	// Verifiers are those of the issuers that are known from the start, by iss.
	Verifiers map[string]Verifier

	// Resolve finds the Verifier of an issuer that is in neither Verifiers nor memory, for more tenants than a
	// configuration has room for. The iss is what the sender of an unverified token claims. No Verifier, or an error
	// that wraps ErrTokenIssuer, means that there is no such issuer; any other error is answered with 503. The context
	// is that of no request, since all who wait for an issuer share one call; it ends after Timeout. If nil, there are
	// no other issuers.
	Resolve func(ctx context.Context, iss string) (Verifier, error)

	// Entries is the number of resolved issuers that are kept at most, those used last. If zero, 1000.
	Entries int

	// Remember is how long a resolved issuer is kept; then Resolve is asked anew. If zero, one hour.
	Remember time.Duration

	// RememberUnknown is how long Resolve is not asked again about an issuer that it does not know. If zero, 10 s.
	RememberUnknown time.Duration

	// Calls is the number of calls of Resolve at once. A request for which there is none left waits. If zero, 64.
	Calls int

	// Timeout bounds one call of Resolve, if that heeds its context. If zero, 10 s.
	Timeout time.Duration

	// Wait is how long a request waits at most for a call of Resolve. If zero, 5 s.
	Wait time.Duration

	// Now is the clock. If nil, time.Now.
	Now func() time.Time
}

// Issuers is a Verifier for the JWTs of several issuers. The iss of a token, which nothing vouches for yet, picks the
// Verifier, and that Verifier alone decides, with its own keys: what is signed with another issuer's key is refused, also
// under a kid that both have. A token of an unknown issuer is refused with ErrTokenIssuer, and nobody is asked for its
// keys. Make it with NewIssuers; it is safe for concurrent use.
//
// A Guard with Issuers lets every one of them in: Confirm alone, and a PolicyFunc that doesn't look at Principal.Issuer, open
// a tenant's route to all tenants. Give each route an Issuer or IssuerFunc.
type Issuers struct {
	options IssuersOptions
	calls   *calls[string, Verifier]

	mu       sync.RWMutex
	static   map[string]Verifier
	changes  int
	resolved *results[Verifier]
	unknown  *results[struct{}] // apart, so that a flood of made-up issuers pushes out no good one
}

var _ Verifier = (*Issuers)(nil)

var _, _, _ issuing = (*Introspection)(nil), (*jwtVerifier)(nil), jwtOr{}

const unknownIssuers = 1024

// NewIssuers makes no request. The error lists every problem of the options.
func NewIssuers(o IssuersOptions) (*Issuers, error) {
	var wrong []error
	problem := fieldProblems("IssuersOptions", &wrong)
	if len(o.Verifiers) == 0 && o.Resolve == nil {
		problem("Verifiers", "empty, and Resolve is nil")
	}
	for _, iss := range slices.Sorted(maps.Keys(o.Verifiers)) {
		if err := fitting(iss, o.Verifiers[iss]); err != nil {
			problem("Verifiers", "%w", err)
		}
	}
	completeDurations(problem, duration{"Remember", &o.Remember, time.Hour}, duration{"RememberUnknown", &o.RememberUnknown, 10 * time.Second},
		duration{"Timeout", &o.Timeout, 10 * time.Second}, duration{"Wait", &o.Wait, 5 * time.Second})
	completeCounts(problem, count{"Entries", &o.Entries, 1000}, count{"Calls", &o.Calls, 64})
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &Issuers{
		options: o, static: maps.Clone(o.Verifiers),
		calls:    newCalls[string, Verifier](o.Calls, o.Timeout, o.Wait),
		resolved: newResults[Verifier](o.Entries),
		unknown:  newResults[struct{}](unknownIssuers),
	}, nil
}

// fitting returns what is wrong with a Verifier for that issuer's tokens. Of somebody else's that says nothing, nothing is
// known.
func fitting(iss string, v Verifier) error {
	all := knownIssuers(v)
	known := len(all) > 0
	switch v.(type) {
	case *jwtVerifier, *Introspection, *Issuers, jwtOr:
		known = true
	}
	switch {
	case iss == "":
		return errors.New("an empty iss")
	case v == nil:
		return fmt.Errorf("%q: nil", iss)
	case known && !slices.Contains(all, iss):
		return fmt.Errorf("%q: a Verifier of other issuers", iss)
	}
	return nil
}

// Add lets the tokens of an issuer pass that v accepts, from the next request on. An issuer that was there gets the new
// Verifier. It is an error if iss is empty, or v nil or one of other issuers.
func (i *Issuers) Add(iss string, v Verifier) error {
	if i == nil || i.calls == nil {
		return errors.New("popauth: Issuers: not made by NewIssuers")
	}
	if err := fitting(iss, v); err != nil {
		return fmt.Errorf("popauth: Issuers.Add: %w", err)
	}
	i.change(iss, v)
	return nil
}

// Remove forgets an issuer, be it added or resolved, with everything that its Verifier remembers, from the next request
// on. If there is a Resolve, it is asked about the issuer then.
func (i *Issuers) Remove(iss string) {
	if i != nil && i.calls != nil {
		i.change(iss, nil)
	}
}

// change drops what Resolve has said about an issuer, and what it is about to say.
func (i *Issuers) change(iss string, v Verifier) {
	defer i.calls.forget(iss) // without mu, which a call may wait for
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.static, iss)
	if v != nil {
		if i.static == nil {
			i.static = map[string]Verifier{}
		}
		i.static[iss] = v
	}
	i.changes++
	key := sha256.Sum256([]byte(iss))
	i.resolved.memory.Remove(key)
	i.unknown.memory.Remove(key)
}

// Verify lets the issuer's own Verifier decide. It refuses what that accepts of another issuer. The Token is the
// caller's own.
func (i *Issuers) Verify(ctx context.Context, token string) (*Token, error) {
	var hash tokenHash
	t, _, err := i.shared(ctx, token, &hash)
	if err != nil {
		return nil, err
	}
	return t.clone(), nil
}

func (i *Issuers) shared(ctx context.Context, token string, hash *tokenHash) (t *Token, remembered bool, err error) {
	if i == nil || i.calls == nil {
		return nil, false, ErrUnconfigured
	}
	if len(token) > maxToken {
		return nil, false, ErrTokenMalformed
	}
	iss, err := claimedIssuer(token)
	if err != nil {
		return nil, false, err
	}
	v, err := i.verifier(ctx, iss)
	if err != nil {
		return nil, false, err
	}
	if t, remembered, err = verifyShared(ctx, v, token, hash); err != nil {
		return nil, false, err
	}
	if t == nil || t.Issuer != iss {
		return nil, false, ErrTokenIssuer
	}
	return t, remembered, nil
}

// claimedIssuer reads as little of a token as it needs: what counts is read again by the Verifier.
func claimedIssuer(token string) (string, error) {
	j, err := part(token)
	if err != nil {
		return "", err
	}
	parts, err := j.decode()
	if err != nil {
		return "", err
	}
	defer parts.close()
	iss := ""
	err = strictjson.Members(parts.payload, []string{"iss"}, func(name string, v jsontext.Value) (err error) {
		if name == "iss" {
			iss, err = strictjson.String(v)
		}
		return err
	})
	switch {
	case err != nil:
		return "", &Error{Reason: ErrTokenMalformed, Err: err}
	case iss == "":
		return "", ErrTokenIssuer
	}
	return iss, nil
}

// verifier returns the Verifier of an issuer, or ErrTokenIssuer.
func (i *Issuers) verifier(ctx context.Context, iss string) (Verifier, error) {
	key := sha256.Sum256([]byte(iss))
	known := func() (Verifier, bool) { return i.known(iss, key) }
	v, ok := known()
	if !ok {
		var err error
		if v, err = i.calls.do(ctx, iss, known, func(ctx context.Context) (Verifier, error) { return i.resolve(ctx, iss, key) }); err != nil {
			return nil, err
		}
	}
	if v == nil {
		return nil, ErrTokenIssuer
	}
	return v, nil
}

// known returns what is known about an issuer; no Verifier if it is that there is none.
func (i *Issuers) known(iss string, key [sha256.Size]byte) (Verifier, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if v, ok := i.static[iss]; ok {
		return v, true
	}
	if i.options.Resolve == nil {
		return nil, true
	}
	now := i.options.Now()
	if v, ok := i.resolved.get(key, now); ok {
		return v, true
	}
	_, ok := i.unknown.get(key, now)
	return nil, ok
}

// resolve asks Resolve. An answer during which issuers were changed serves those who have waited for it, and is not kept.
func (i *Issuers) resolve(ctx context.Context, iss string, key [sha256.Size]byte) (Verifier, error) {
	i.mu.RLock()
	before := i.changes
	i.mu.RUnlock()
	v, err := i.options.Resolve(ctx, iss)
	// By the first Reason: an outage that wraps this one is no word on the issuer.
	if err != nil && refused(err, ErrUnavailable).Reason == ErrTokenIssuer {
		v, err = nil, nil
	}
	if err == nil && v != nil {
		err = fitting(iss, v)
	}
	if err != nil {
		return nil, unanswered(fmt.Errorf("resolve issuer: %w", err))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.options.Now()
	switch {
	case i.changes != before:
	case v == nil:
		i.unknown.put(key, struct{}{}, now, i.options.RememberUnknown)
	default:
		i.resolved.put(key, v, now, i.options.Remember)
	}
	return v, nil
}

// issuers are those that were configured or added: nobody can list what Resolve would find. They are no Issuers() of a
// Verifier, which never change.
func (i *Issuers) issuers() []string {
	if i == nil {
		return nil
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	return slices.Sorted(maps.Keys(i.static))
}
