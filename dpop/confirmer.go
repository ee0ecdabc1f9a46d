package dpop

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/mismatch"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// Confirmer confirms jkt: the request carries a proof, signed with the key that the token is bound to, for this very
// request (RFC 9449). The token comes under the scheme DPoP; under Bearer it is refused. New makes one. It never changes and
// is safe for concurrent use; the zero Confirmer and the nil one refuse everything.
//
// A proof covers method, URI and token, not the body or other headers (section 11.7). A proof beside a token that comes
// under Bearer is no credential and is not looked at: the scheme says what the token is (section 7.2), and one with a
// jkt is refused there, proof or not.
//
// Browsers show a response's WWW-Authenticate and DPoP-Nonce only to scripts of an origin that CORS exposes them to
// (section 8).
type Confirmer struct {
	options  Options
	accepted []jose.Algorithm
	own      *ReplayMemory           // nil if Options.Replay is there
	signers  *memory.Headers[signer] // the proof headers that have passed accepted
}

var _ popauth.SchemeConfirmer = (*Confirmer)(nil)

const (
	schemeDPoP = "DPoP"

	clientHeaders = 2048 // clients whose proofs' headers are known
)

// proofAlgorithms come first in the order that a client had best prefer.
var proofAlgorithms = []string{"ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"}

// New makes a Confirmer, for popauth.Options.Confirmers or for an authorization server. The error lists every problem of
// the options.
func New(o Options) (*Confirmer, error) {
	var wrong []error
	problem := settings.Problems("dpop: Options", &wrong)
	d := &Confirmer{signers: memory.NewHeaders[signer](clientHeaders)}
	alone := o.Replay == nil
	if alone {
		// The one place where a store is chosen for those who have not chosen.
		d.own, _ = NewReplayMemory(ReplayMemoryOptions{}) // which can't fail
	}
	if o.Algorithms = slices.Clone(o.Algorithms); o.Algorithms == nil {
		o.Algorithms = slices.Clone(proofAlgorithms)
	} else if len(o.Algorithms) == 0 {
		problem("Algorithms", "empty, but not nil")
	}
	d.accepted = jose.Named(o.Algorithms, problem)
	var err error
	if o.Nonces, err = completeNonces(o.Nonces); err != nil {
		wrong = append(wrong, err)
	}
	o.completeTimes(alone, problem)
	o.completeURL(problem)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	d.options = o
	return d, nil
}

// Member returns "jkt".
func (*Confirmer) Member() string { return "jkt" }

// Challenge returns the scheme DPoP and the parameter algs.
func (d *Confirmer) Challenge() (scheme string, params []popauth.Param) {
	return schemeDPoP, []popauth.Param{{Name: "algs", Value: strings.Join(d.Algorithms(), " ")}}
}

// Algorithms returns the signature algorithms that are accepted, as metadata lists them: dpop_signing_alg_values_supported
// (RFC 9449, section 5.1; RFC 9728, section 2).
func (d *Confirmer) Algorithms() []string {
	if d == nil {
		return nil
	}
	return slices.Clone(d.options.Algorithms)
}

// NeedsNonces tells whether proofs without a nonce are refused: Options.Nonces is set. Package forwardauth asks, since not every proxy
// hands nonces on.
func (d *Confirmer) NeedsNonces() bool { return d != nil && d.options.Nonces != nil }

// HoldsFor tells whether a proof that is good for the one request is good for the other: both have the same URL.
func (d *Confirmer) HoldsFor(c popauth.Confirmer, before, after *http.Request) bool {
	return c == popauth.Confirmer(d) && d.made() && d.sameTarget(before, after)
}

func (d *Confirmer) made() bool { return d != nil && d.options.URL != nil }

// Confirm makes the checks of RFC 9449, section 4.3, in its order, and those of section 7.1, by the Presentation's clock.
func (d *Confirmer) Confirm(r *http.Request, p popauth.Presentation) error {
	if !d.made() {
		return &popauth.Error{Reason: popauth.ErrUnconfigured, Err: errUnmade}
	}
	bound, err := jose.Digest(p.Binding.Value)
	if err != nil {
		return &popauth.Error{Reason: popauth.ErrBindingMalformed, Err: err}
	}
	now := p.Now()
	v, err := d.verify(r, now, bound[:], client{shown: p})
	if err != nil {
		return err
	}
	// Section 4.2: with a token, ath is required as well.
	if v.token == nil {
		return malformedProof(fmt.Errorf("%w: ath is, with a token", errProofClaim))
	}
	// Item 12, first half: the token that is presented, and no other.
	space := make([]byte, 0, 1024) // on the stack, unless the token is longer than most
	hash := sha256.Sum256(append(space, p.Token...))
	if subtle.ConstantTimeCompare(hash[:], v.token) != 1 {
		return &popauth.Error{Reason: popauth.ErrProofToken, Err: errProofToken}
	}
	return d.use(r, v, now)
}

// ProveKey verifies the proof of a request that presents no token, as those to a token endpoint do (RFC 9449, section
// 5), by all checks of section 4.3 but the twelfth, which is about the token. It returns the thumbprint of the key, the
// jkt of a token that is to be bound to it. It is for authorization servers, see package clientauth, and never for an
// API: it says nothing about any token. A request without a proof is ErrProofMissing, and whether that is an error is
// for the caller to say.
//
// Whoever has a key can make proofs, and anybody can make keys: unlike an API's, these proofs need no token, so the
// store's bound per key bounds nobody. Authenticate the client first, limit the rate of those that can't be, and don't
// share the store with an API.
//
// What the answer to the request is to have is put into h: a DPoP-Nonce. A proof may have an ath (section 4.2), which counts
// for nothing here.
func (d *Confirmer) ProveKey(h http.Header, r *http.Request, now time.Time) (thumbprint string, err error) {
	if !d.made() {
		return "", &popauth.Error{Reason: popauth.ErrUnconfigured, Err: errUnmade}
	}
	if err := (popauth.RequestLine{}).Check(r); err != nil {
		return "", err
	}
	v, err := d.verify(r, now, nil, client{header: h})
	if err != nil {
		return "", err
	}
	if err := d.use(r, v, now); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(v.signer.key.Thumbprint[:]), nil
}

var errProofToken = errors.New("ath is not the hash of the token that came with the proof: a proof for the token before, or a stolen one")

var errUnmade = errors.New("the Confirmer was not made by dpop.New")

// client is whoever is to have a header with the answer.
type client struct {
	shown  popauth.Presentation
	header http.Header // in place of shown; nil without
}

func (to client) set(name, value string) {
	if to.header == nil {
		to.shown.SetHeader(name, value)
		return
	}
	to.header.Set(name, value)
}

// verified is a proof that fits its request.
type verified struct {
	proof
	target string // htu, in normal form
}

// verify makes the checks that need no token, and, where bound is not nil, that the key is the one whose thumbprint it is.
func (d *Confirmer) verify(r *http.Request, now time.Time, bound []byte, to client) (verified, error) {
	// Items 1 to 7.
	proof, err := d.readProof(r.Header["Dpop"], bound)
	if err != nil {
		return verified{}, err
	}
	// Item 8. RFC 9110, section 9.1: methods are case-sensitive.
	if own := cmp.Or(r.Method, http.MethodGet); proof.method != own {
		return verified{}, &popauth.Error{Reason: popauth.ErrProofTarget, Err: &popauth.Mismatch{
			What: "htm", Got: mismatch.Text(proof.method), Want: mismatch.Text(own) + ", the request's method",
		}}
	}
	// Item 9.
	own := d.options.URL(r)
	if own == nil {
		return verified{}, &popauth.Error{Reason: popauth.ErrProofTarget, Err: untold(r, d.options.URL)}
	}
	target, err := proof.target(own)
	if err != nil {
		return verified{}, err
	}
	// Item 10, and section 11.3.
	if err := d.checkNonce(r, now, proof, to); err != nil {
		return verified{}, err
	}
	if err := d.options.checkTime(proof, now); err != nil {
		return verified{}, err
	}
	return verified{proof, target}, nil
}

var errNonceSource = errors.New("the NonceSource returned what can't be sent as a nonce")

// checkNonce hands the client the nonce that it is to use next, if there is one, whatever becomes of the request.
func (d *Confirmer) checkNonce(r *http.Request, now time.Time, proof proof, to client) error {
	if d.options.Nonces == nil {
		return nil
	}
	ok, next, err := d.options.Nonces.Check(r.Context(), proof.nonce, now)
	if err == nil && next != "" && !isNonce(next) {
		err = errNonceSource
	}
	if err != nil {
		return popauth.Unavailable(r.Context(), fmt.Errorf("nonces: %w", err))
	}
	if next != "" {
		to.set("DPoP-Nonce", next)
		// Section 8.2: a nonce out of a cache is stale, and another client's.
		to.set("Cache-Control", "no-store")
	}
	switch {
	case ok:
		return nil
	case next == "":
		// use_dpop_nonce without a nonce would make clients try again for ever.
		return malformedProof(errNonce)
	}
	return popauth.ErrNonceRequired
}
