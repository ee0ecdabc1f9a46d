package dpop

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/settings"
)

// NonceSource provides the nonces that proofs must carry, and recognises them (RFC 9449, sections 8 and 9).
type NonceSource interface {
	// Check tells whether a proof with this nonce may pass, and which nonce the client is to use from now on; next is ""
	// if it can keep the one it has. If the proof has no nonce, nonce is "". A refusal without a next one is answered like
	// a malformed proof, an error with 503.
	Check(ctx context.Context, nonce string, now time.Time) (ok bool, next string, err error)
}

// StatelessNonces are nonces that carry the time they were made at, and a proof that one of those who know a secret
// has made them. Nothing is stored, and processes that share the secret accept each other's.
//
// Every proof needs one, so no client can go back to proofs without (RFC 9449, section 11.3), whether it was given one
// or not: there is nothing to remember. A client may use one as often as it likes until it is stale; Replay stays
// in charge of each proof. A nonce is good for every client, not for one key: a client keeps one nonce per server, but
// may have many keys.
//
// A response that carries a nonce gets Cache-Control: no-store. A handler that replaces it must keep the response out
// of shared caches.
//
// They print themselves without the secrets, except in an unexported field of another struct: keep it out of those.
type StatelessNonces struct {
	_ [0]func()

	// Secrets are at least 32 random bytes each. The first makes nonces, all are good to recognise them. To change it
	// without a gap, add the new one at the end in every process, then make it the first, and take the old one away
	// when MaxAge has passed.
	Secrets [][]byte

	// MaxAge is how long a nonce can be used. If zero, 5 min; between 10 s and 1 h. A client that has one gets the next
	// when half of it has passed. One that asks at least once in each second half is never refused for a stale nonce.
	MaxAge time.Duration

	// Optional lets proofs without a nonce pass, and hands those clients none. It is for the time in which some of the
	// processes behind a name already ask for nonces and some don't, in either direction. As long as it is set a
	// client that was given a nonce can leave it out again, which section 11.3 forbids.
	Optional bool

	held func() [][]byte // the secrets once complete has seen them, where fmt doesn't print them
}

var _ NonceSource = StatelessNonces{}

const (
	defaultNonceAge = 5 * time.Minute
	minNonceAge     = 10 * time.Second
	maxNonceAge     = time.Hour
	minNonceSecret  = 32

	// nonceAhead is how far the clocks of processes that share a secret may differ.
	nonceAhead = 30 * time.Second

	nonceTime  = 8               // bytes
	nonceProof = sha256.Size / 2 // bytes; 128 bits
	nonceUse   = "popauth DPoP-Nonce 1"
)

var errNonce = errors.New("nonce not accepted")

// completeNonces returns the source as it is when its defaults are filled in.
func completeNonces(s NonceSource) (NonceSource, error) {
	switch n := s.(type) {
	case StatelessNonces:
		return n.complete()
	case *StatelessNonces:
		if n == nil {
			return nil, errors.New("dpop: Options.Nonces: a nil *StatelessNonces")
		}
		return n.complete()
	}
	return s, nil
}

// complete fills in the defaults, or returns everything that is wrong.
func (n StatelessNonces) complete() (StatelessNonces, error) {
	if n.held != nil {
		return n, nil
	}
	var wrong []error
	problem := settings.Problems("dpop: StatelessNonces", &wrong)
	if n.MaxAge == 0 {
		n.MaxAge = defaultNonceAge
	} else if n.MaxAge < minNonceAge || n.MaxAge > maxNonceAge {
		problem("MaxAge", "%v is not between %v and %v", n.MaxAge, minNonceAge, maxNonceAge)
	}
	if len(n.Secrets) == 0 {
		problem("Secrets", "none")
	}
	secrets := make([][]byte, len(n.Secrets))
	for i, s := range n.Secrets {
		if secrets[i] = slices.Clone(s); len(s) < minNonceSecret {
			problem("Secrets", "entry %d has %d bytes, not %d or more", i, len(s), minNonceSecret)
		}
	}
	if len(wrong) == 0 {
		n.Secrets, n.held = nil, func() [][]byte { return secrets }
	}
	return n, errors.Join(wrong...)
}

// Check accepts what a secret of the list has made no longer than MaxAge ago.
func (n StatelessNonces) Check(_ context.Context, nonce string, now time.Time) (ok bool, next string, err error) {
	if n.held == nil {
		if n, err = n.complete(); err != nil {
			return false, "", err
		}
	}
	if nonce == "" && n.Optional {
		return true, "", nil
	}
	issued, genuine := n.open(nonce)
	age := now.Sub(issued)
	switch {
	case !genuine || age > n.MaxAge || age < -nonceAhead:
		return false, n.seal(now), nil
	case age > n.MaxAge/2:
		return true, n.seal(now), nil
	}
	return true, "", nil
}

// seal makes a nonce. All that are made within one second are the same, and nobody without the secret can tell one.
func (n StatelessNonces) seal(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Unix())) //nolint:gosec // G115: open turns it back
	return base64.RawURLEncoding.EncodeToString(append(b, nonceMAC(n.held()[0], b)...))
}

// open returns when a nonce was made, and whether it was made here.
func (n StatelessNonces) open(nonce string) (time.Time, bool) {
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceTime+nonceProof) {
		return time.Time{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != nonceTime+nonceProof {
		return time.Time{}, false
	}
	genuine := slices.ContainsFunc(n.held(), func(secret []byte) bool {
		return hmac.Equal(b[nonceTime:], nonceMAC(secret, b[:nonceTime]))
	})
	if !genuine {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b)), 0), true //nolint:gosec // G115: see seal
}

// nonceMAC says what the MAC is for, in case the secret has another use.
func nonceMAC(secret, issued []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(nonceUse))
	h.Write(issued)
	return h.Sum(nil)[:nonceProof]
}

// isNonce tells whether s fits RFC 9449, section 8.1: 1*NQCHAR.
func isNonce(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' })
}

// Format implements fmt.Formatter: the secrets are not printed.
func (n StatelessNonces) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "dpop.StatelessNonces{secret withheld}")
}

// MarshalText implements encoding.TextMarshaler: the secrets are not in it.
func (n StatelessNonces) MarshalText() ([]byte, error) { return fmt.Append(nil, n), nil }

// LogValue implements slog.LogValuer: the secrets are not logged.
func (n StatelessNonces) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(n)) }
