package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-171ab058/popauth"
)

// ReplayStore remembers which proofs have been used, so that none is accepted twice (RFC 9449, section 11.1). Its
// methods are called concurrently. popauthtest.TestReplayStore tells whether an implementation does what is said here.
//
// The instances of one API share a store. What must not share one are two Guards that the same request passes through,
// such as a gateway's and the API's behind it, and a traffic mirror with the service that it mirrors: whoever comes
// second finds the proof used, and refuses its owner.
//
// A store with a bound should have a bound per key as well. Otherwise one caller with one valid token can fill it, and
// everybody else is refused.
type ReplayStore interface {
	// Use marks an id of a key as used. It returns true exactly once for them until the id's time has passed: of any
	// number of calls at once, in any number of processes that share the store, one. It returns false for an id that is
	// used, and for one whose time is over already, since that can't be remembered.
	//
	// The key says whose proof it is: it is the same for all proofs of one DPoP key, and different for all others. Two
	// keys may have the same id, and neither uses up the other's. DPoP hands over hashes, 43 characters each; the store
	// may be given any strings, and what comes from a request should be hashed first.
	//
	// The id is used up to and including until. A later call for the same id doesn't change that, whatever its until:
	// those who share the store agree on how long an id is kept before, see Options.Remember.
	//
	// An error means that the store doesn't accept the id; fresh is false then. One that wraps ErrProofLimit says that
	// this key has as many ids as one may have, and the request is answered with 429. Any other says that the store
	// can't tell, because it is full or out of reach or ctx has ended, and the request is answered with 503; after a
	// client that has gone it counts as ErrRequestEnded.
	Use(ctx context.Context, key, id string, until time.Time) (fresh bool, err error)
}

// use marks a proof as used (section 11.1). It is the last of all checks, so that a request which is refused leaves the
// proof to its owner.
func (d *Confirmer) use(r *http.Request, v verified, now time.Time) error {
	key, id := replayNames(v.proof, v.target)
	until, earliest := d.options.remembered(v.issued, now)
	var fresh bool
	var err error
	if m, ok := d.options.Replay.(*ReplayMemory); ok && m.made() {
		fresh, err = m.useOnce(r.Context(), m.now(), key, id, until, earliest)
	} else if d.own != nil {
		fresh, err = d.own.useOnce(r.Context(), now, key, id, until, earliest)
	} else {
		fresh, err = d.options.Replay.Use(r.Context(), key, id, until)
	}
	switch {
	case errors.Is(err, popauth.ErrProofLimit):
		return &popauth.Error{Reason: popauth.ErrProofLimit, Err: fmt.Errorf("replay store: %w", err)}
	case err != nil:
		return popauth.Unavailable(r.Context(), fmt.Errorf("replay store: %w", err))
	case !fresh:
		return popauth.ErrProofReplayed
	}
	if v.header != "" {
		d.signers.Put(v.header, v.signer)
	}
	return nil
}

// replayNames returns the names of a proof and of its key. They depend on nothing that may differ between those who
// share a store.
//
// The key is part of the id, since two clients may choose the same jti, and one must not be able to use up another's;
// so is the URI, in whose context a jti is unique (section 11.1).
func replayNames(p proof, target string) (key, id string) {
	const prefix, size = "popauth DPoP key", 43
	owner := sha256.Sum256(append([]byte(prefix), p.signer.key.Thumbprint[:]...))
	b := make([]byte, 0, 256) // on the stack, unless jti and URI are longer than most
	b = append(b, p.signer.key.Thumbprint[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.id))) //nolint:gosec // G115: readProof bounds the id
	b = append(append(b, p.id...), target...)
	sum := sha256.Sum256(b)
	// One string for both is one allocation.
	var names [2 * size]byte
	base64.RawURLEncoding.Encode(names[:size], owner[:])
	base64.RawURLEncoding.Encode(names[size:], sum[:])
	both := string(names[:])
	return both[:size], both[size:]
}
