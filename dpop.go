package popauth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-171ab058/popauth/internal/jose"
	"github.com/seed-171ab058/popauth/internal/memory"
	"github.com/seed-171ab058/popauth/internal/settings"
)

// DPoP confirms jkt: the request carries a proof, signed with the key that the token is bound to, for this very
// request (RFC 9449). The token comes under the scheme DPoP; under Bearer it is refused. The zero DPoP is ready for
// one process that ends TLS itself: behind a proxy set URL, with several processes set Replay.
//
// A proof covers method, URI and token, not the body or other headers (section 11.7). A proof beside a token that comes
// under Bearer is no credential and is not looked at: the scheme says what the token is (section 7.2), and one with a
// jkt is refused there, proof or not.
//
// Browsers show a response's WWW-Authenticate and DPoP-Nonce only to scripts of an origin that CORS exposes them to
// (section 8).
type DPoP struct {
	_ [0]func()

	// Replay remembers used proofs. If nil, each Guard has a memory of its own, a ReplayMemory as it comes, which is right
	// for an API that runs in one process with one Guard. That memory ends with its Guard: a Guard made anew, as when a
	// configuration is read again, knows no proof that was used before, and would accept it once more. Where that happens,
	// make one ReplayMemory for the process and give it to each of them, as ExampleReplayMemory_reload does, and look at its
	// PerKey: a memory that is given keeps ids for longer, see Remember.
	//
	// The instances of one API share a store (package redisreplay). Two Guards that the same request passes through must
	// not, nor a traffic mirror and the service that it mirrors: the second would take the proof for used. A proxy that
	// sends a request again after the API has taken it gets 401 for the second.
	Replay ReplayStore

	// Remember is how long a used proof is remembered, from its iat or its use, whichever is later; a second is added for
	// what iat is rounded by. It must be as long as anybody who shares Replay accepts a proof, or that one would accept it
	// again. If zero, 11 min, the longest that any DPoP can accept one; where Replay is nil too, nobody shares it, and
	// MaxAge and Leeway are enough, or with NonceTime the nonces' MaxAge and 30 s. At least that, at most 11 min.
	//
	// Less takes less memory: the store has proofs per second × Remember ids at a time. Lower it only if all who
	// share the store agree, now and through every change of MaxAge and Leeway.
	Remember time.Duration

	// MaxAge is how old a proof may be. If zero, 60 s; at most 10 min (section 11.1). For clocks that differ use Leeway.
	MaxAge time.Duration

	// Leeway is how far this clock and the client's may differ, in either direction. If zero, 10 s; at most 5 min, which
	// is what the Model Context Protocol asks for, and with MaxAge at most 11 min. Whoever can make a client sign ahead of
	// time can do so for that long: where nonces are asked for, NonceTime takes any clock, and needs none of that.
	Leeway time.Duration

	// Algorithms lists the signature algorithms accepted, of those in Options.Algorithms. If nil, ES256 ES384 EdDSA
	// Ed25519 PS256 RS256.
	Algorithms []string

	// Nonces provides the nonces that proofs must carry (section 9). If nil, none is asked for.
	Nonces NonceSource

	// NonceTime lets the nonce say when a proof was made, instead of its iat (section 4.3, item 11): for clients whose
	// clocks are wrong, and can't be put right. A proof is good as long as its nonce, StatelessNonces.MaxAge, and MaxAge
	// counts for nothing. Its iat may be as old as it likes, and at most one hour ahead: a Guard without NonceTime
	// that shares Replay would accept it when its time comes, so it is remembered until then. Such a client has up to twelve
	// times as many ids in the store as others, which count against its PerKey. An exp or nbf counts as ever, by this
	// clock and Leeway.
	//
	// Nonces has to be StatelessNonces, not Optional, with a MaxAge of at most 10 min: those say when they were made, and
	// nobody else can make them. If false, iat counts, with a nonce too.
	NonceTime bool

	// URL returns the URL of a request as its client sent it, of which scheme, host and path count. If nil, scheme and
	// host are those of Options.Resource.ID. Without one it is RequestURL, and New logs a warning: the host is the
	// sender's Host header then, so that a proof made for another server passes here. That is right only where no other
	// server gets tokens for this API, and TLS ends in this process; else see BaseURL. To choose it for an API with
	// several names, set RequestURL. A request for which it returns nil is refused.
	// A function that believes a proxy's headers must first make sure that they come from that proxy, and that it
	// replaces every one of them.
	URL func(*http.Request) *url.URL

	// accepted is what Algorithms stands for; nil in a DPoP that complete has not seen.
	accepted []jose.Algorithm

	// signers are the proof headers that have passed accepted; nil in a DPoP for a single use.
	signers *memory.Headers[signer]
}

var _ SchemeConfirmer = DPoP{}

const (
	dpop = "DPoP"

	clientHeaders = 2048 // clients whose proofs' headers are known

	defaultProofAge    = time.Minute
	maxProofAge        = 10 * time.Minute
	defaultProofLeeway = 10 * time.Second
	maxProofLeeway     = 5 * time.Minute
	maxProofRemember   = 11 * time.Minute

	// maxProofAhead is how far iat may be ahead where it doesn't count: so much longer is a proof remembered.
	maxProofAhead = time.Hour
)

// proofAlgorithms come first in the order that a client had best prefer.
var proofAlgorithms = []string{"ES256", "ES384", "EdDSA", "Ed25519", "PS256", "RS256"}

// Member returns "jkt".
func (DPoP) Member() string { return "jkt" }

// Challenge returns the scheme DPoP and the parameter algs.
func (d DPoP) Challenge() (scheme string, params []Param) {
	names := d.Algorithms
	if names == nil {
		names = proofAlgorithms
	}
	return dpop, []Param{{"algs", strings.Join(names, " ")}}
}

// completeDPoP returns what the options of a Guard need to have filled in, or everything that is wrong with it.
func completeDPoP(c Confirmer, now func() time.Time) (Confirmer, error) {
	switch d := c.(type) {
	case DPoP:
		return d.complete(now)
	case *DPoP:
		if d == nil {
			return nil, nil
		}
		return d.complete(now)
	}
	return c, nil
}

// complete makes the DPoP of a Guard, which nothing outside can change any more.
func (d DPoP) complete(now func() time.Time) (DPoP, error) {
	var wrong []error
	problem := settings.Problems("popauth: DPoP", &wrong)
	var err error
	alone := d.Replay == nil
	if alone && now != nil {
		// The one place where a store is chosen for those who have not chosen.
		if d.Replay, err = NewReplayMemory(ReplayMemoryOptions{Now: now}); err != nil {
			problem("Replay", "%w", err)
		}
	}
	if d.Replay == nil {
		problem("Replay", "nil outside Options.Confirmers, and not completed")
	}
	if d.Algorithms = slices.Clone(d.Algorithms); d.Algorithms == nil {
		d.Algorithms = slices.Clone(proofAlgorithms)
	} else if len(d.Algorithms) == 0 {
		problem("Algorithms", "empty, but not nil")
	}
	d.accepted, d.signers = jose.Named(d.Algorithms, problem), nil
	if now != nil {
		d.signers = memory.NewHeaders[signer](clientHeaders)
	}
	if d.Nonces, err = completeNonces(d.Nonces); err != nil {
		wrong = append(wrong, err)
	}
	d.completeTimes(alone, problem)
	if d.URL == nil {
		d.URL = RequestURL
	}
	return d, errors.Join(wrong...)
}

// Complete returns the DPoP with what it leaves out filled in, a replay memory of its own among that, or an error that
// lists everything that is wrong. New does this for a Guard; call it yourself only to use DPoP outside of one. The
// memory's clock is now; if nil, time.Now. It is for this DPoP alone, and keeps ids as long as this one needs them.
func (d DPoP) Complete(now func() time.Time) (DPoP, error) {
	if now == nil {
		now = time.Now
	}
	d, err := d.complete(now)
	if err != nil {
		return DPoP{}, err
	}
	return d, nil
}

// Confirm makes all checks of RFC 9449, section 4.3, each before one that costs more, and those of section 7.1. A
// Confirmer of your own may call it if Replay is set, or after Complete; without, and with settings that New would
// refuse, it returns ErrUnconfigured.
func (d DPoP) Confirm(r *http.Request, p Presentation) error {
	d, err := d.ready()
	if err != nil {
		return err
	}
	bound, err := digest(p.Binding.Value)
	if err != nil {
		return &Error{Reason: ErrBindingMalformed, Err: err}
	}
	v, err := d.verify(r, p, bound)
	if err != nil {
		return err
	}
	// Section 4.2: with a token, ath is required as well.
	if v.token == nil {
		return malformedProof(errProofClaim)
	}
	// Item 12, first half: the token that is presented, and no other.
	hash := hashOf(p.Token)
	if subtle.ConstantTimeCompare(hash[:], v.token) != 1 {
		return ErrProofToken
	}
	return d.use(r, v, p.Now)
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
// What the answer to the request is to have is put into h: a DPoP-Nonce. Like Confirm it needs Replay to be set, or
// Complete. A proof may have an ath (section 4.2), which counts for nothing here.
func (d DPoP) ProveKey(h http.Header, r *http.Request, now time.Time) (thumbprint string, err error) {
	d, err = d.ready()
	if err != nil {
		return "", err
	}
	if e := (RequestLine{}).read(r); e != nil {
		return "", e
	}
	v, err := d.verify(r, Presentation{Now: now, header: &h}, nil)
	if err != nil {
		return "", err
	}
	if err := d.use(r, v, now); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(v.signer.key.Thumbprint[:]), nil
}

func (d DPoP) ready() (DPoP, error) {
	if d.accepted != nil {
		return d, nil
	}
	d, err := d.complete(nil)
	if err != nil {
		return DPoP{}, &Error{Reason: ErrUnconfigured, Err: err}
	}
	return d, nil
}

// verified is a proof that fits its request.
type verified struct {
	proof
	target string // htu, in normal form
}

// verify makes the checks that need no token, and, where bound is not nil, that the key is the one whose thumbprint it is.
func (d DPoP) verify(r *http.Request, p Presentation, bound []byte) (verified, error) {
	// Items 1 to 7.
	proof, err := d.readProof(r.Header["Dpop"], bound)
	if err != nil {
		return verified{}, err
	}
	// Item 8. RFC 9110, section 9.1: methods are case-sensitive.
	if proof.method != method(r) {
		return verified{}, &Error{Reason: ErrProofTarget, Err: fmt.Errorf("proof for another method: %+.32q, the request's is %+.32q", proof.method, method(r))}
	}
	// Item 9.
	target, err := proof.target(d.URL(r))
	if err != nil {
		return verified{}, err
	}
	// Item 10, and section 11.3.
	if err := d.checkNonce(r, p, proof); err != nil {
		return verified{}, err
	}
	if err := d.checkTime(proof, p.Now); err != nil {
		return verified{}, err
	}
	return verified{proof, target}, nil
}

var errNonceSource = errors.New("the NonceSource returned what can't be sent as a nonce")

// checkNonce hands the client the nonce that it is to use next, if there is one, whatever becomes of the request.
func (d DPoP) checkNonce(r *http.Request, p Presentation, proof proof) error {
	if d.Nonces == nil {
		return nil
	}
	ok, next, err := d.Nonces.Check(r.Context(), proof.nonce, p.Now)
	if err == nil && next != "" && !isNonce(next) {
		err = errNonceSource
	}
	if err != nil {
		return endOf(r.Context(), &Error{Reason: ErrUnavailable, Err: fmt.Errorf("nonces: %w", err)})
	}
	if next != "" {
		p.SetHeader("DPoP-Nonce", next)
		// Section 8.2: a nonce out of a cache is stale, and another client's.
		p.SetHeader("Cache-Control", "no-store")
	}
	switch {
	case ok:
		return nil
	case next == "":
		// use_dpop_nonce without a nonce would make clients try again for ever.
		return malformedProof(errNonce)
	}
	return ErrNonceRequired
}
