package popauth_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const dpopURL = "https://api.example.com/orders"

// dpopAPI is an API that takes tokens under Bearer and DPoP, with a client that has a key and a token bound to it.
type dpopAPI struct {
	t       testing.TB
	issuer  *popauthtest.Issuer
	key     *popauthtest.ProofKey
	token   string
	clock   *popauthtest.Clock
	store   *usedProofs
	spy     *popauthtest.Spy
	guard   *popauth.Guard
	handler http.Handler

	mu   sync.Mutex
	last *popauth.Error // of the request refused last
}

// request is a good one: GET dpopURL with the token and a fresh proof.
func (a *dpopAPI) request(claims ...popauthtest.Claims) *http.Request {
	return a.key.Request("GET", dpopURL, a.token, claims...)
}

// with is a request with this proof instead.
func (a *dpopAPI) with(proof string) *http.Request {
	r := a.request()
	r.Header.Set("DPoP", proof)
	return r
}

func (a *dpopAPI) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	return w
}

// accept asserts that the handler ran.
func (a *dpopAPI) accept(t testing.TB, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	before := a.spy.Ran()
	w := a.serve(r)
	if w.Code != http.StatusOK || a.spy.Ran() != before+1 {
		t.Errorf("got %d, handler ran %d times, want 200 and once: %v", w.Code, a.spy.Ran()-before, a.last)
	}
	return w
}

// refuseLine asserts that a request is refused for its request line.
func (a *dpopAPI) refuseLine(t testing.TB, r *http.Request) {
	t.Helper()
	a.refuse(t, r, popauth.ErrRequestLine, http.StatusBadRequest)
}

// refuse asserts that the handler did not run, why, what was answered, and that nothing was marked as used.
func (a *dpopAPI) refuse(t testing.TB, r *http.Request, reason popauth.Reason, status int, challenges ...string) *httptest.ResponseRecorder {
	t.Helper()
	ran, used := a.spy.Ran(), a.store.len()
	a.last = nil
	w := a.serve(r)
	if a.spy.Ran() != ran {
		t.Fatalf("VULNERABLE: the handler ran, want %s", reason)
	}
	if w.Code != status || !errors.Is(a.last, reason) || a.last.Reason != reason {
		t.Errorf("got %d %v, want %d %s", w.Code, a.last, status, reason)
	}
	if got := w.Header()["Www-Authenticate"]; strings.Join(got, "\n") != strings.Join(challenges, "\n") {
		t.Errorf("challenges: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(challenges, "\n"))
	}
	if a.store.len() != used {
		t.Error("a refused request has used the proof up")
	}
	return w
}

// refuseProof is refuse for what is wrong with the proof.
func (a *dpopAPI) refuseProof(t testing.TB, r *http.Request, reason popauth.Reason) *httptest.ResponseRecorder {
	t.Helper()
	return a.refuse(t, r, reason, http.StatusUnauthorized, proofChallenges[reason], "Bearer")
}

// usedProofs is a ReplayStore that can be looked at.
type usedProofs struct {
	sync.Mutex
	until map[string]time.Time
	keys  map[string]int // how many ids of each
	err   error
}

func (s *usedProofs) Use(_ context.Context, key, id string, until time.Time) (bool, error) {
	s.Lock()
	defer s.Unlock()
	if s.err != nil {
		return false, s.err
	}
	if _, used := s.until[id]; used {
		return false, nil
	}
	s.until[id] = until
	if s.keys == nil {
		s.keys = map[string]int{}
	}
	s.keys[key]++
	return true, nil
}

func (s *usedProofs) len() int {
	s.Lock()
	defer s.Unlock()
	return len(s.until)
}

// refuseOnly asserts that the handler did not run.
func (a *dpopAPI) refuseOnly(t testing.TB, r *http.Request) {
	t.Helper()
	before := a.spy.Ran()
	if w := a.serve(r); w.Code != http.StatusUnauthorized || a.spy.Ran() != before {
		t.Errorf("got %d, handler ran %d times", w.Code, a.spy.Ran()-before)
	}
}

// fields are members of a proof.
type fields = popauthtest.Claims

// verifier returns what verifies the signatures of proof and, if both, of token, and does nothing else.
func verifier(b *testing.B, issuer *popauthtest.Issuer, key *popauthtest.ProofKey, token, proof string, both bool) func() {
	b.Helper()
	keys, err := popauth.StaticKeys(issuer.JWKS())
	if err != nil {
		b.Fatal(err)
	}
	signed := func(s string, public any) func() {
		parsed, parts, err := jwt.NewParser().ParseUnverified(s, jwt.MapClaims{})
		if err != nil {
			b.Fatal(err)
		}
		signature, err := jwt.NewParser().DecodeSegment(parts[2])
		if err != nil {
			b.Fatal(err)
		}
		if public == nil {
			if public, err = keys.KeyfuncCtx(b.Context())(parsed); err != nil {
				b.Fatal(err)
			}
		}
		input := parts[0] + "." + parts[1]
		return func() {
			if err := parsed.Method.Verify(input, signature, public); err != nil {
				b.Fatal(err)
			}
		}
	}
	first, second := signed(token, nil), signed(proof, key.Public())
	if !both {
		return second
	}
	return func() { first(); second() }
}

// fuzzTB may be asked for help from inside a fuzz target, where an F may not.
type fuzzTB struct{ testing.TB }

func (fuzzTB) Helper() {}

// given is the nonce of a response, which must have exactly one, and be kept by no cache.
func given(t *testing.T, header http.Header) string {
	t.Helper()
	values := header["Dpop-Nonce"]
	if len(values) != 1 || values[0] == "" || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("got DPoP-Nonce %q, Cache-Control %q, want one and no-store", values, header["Cache-Control"])
	}
	for _, c := range []byte(values[0]) { // RFC 9449, section 8.1
		if c != 0x21 && (c < 0x23 || c > 0x5b) && (c < 0x5d || c > 0x7e) {
			t.Fatalf("nonce %q", values[0])
		}
	}
	return values[0]
}

func nonceSecret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func nonces(secrets ...[]byte) dpop.StatelessNonces {
	return dpop.StatelessNonces{Secrets: secrets}
}

func newDPoPAPI(t testing.TB, d dpop.Options, change ...func(*popauth.Options)) *dpopAPI {
	t.Helper()
	a := &dpopAPI{
		t:      t,
		issuer: popauthtest.NewIssuer(t),
		key:    popauthtest.NewProofKey(t, ""),
		clock:  popauthtest.NewClock(time.Unix(1_800_000_000, 0)),
		store:  &usedProofs{until: map[string]time.Time{}},
		spy:    &popauthtest.Spy{},
	}
	a.issuer.Now, a.key.Now = a.clock.Now, a.clock.Now
	now := a.clock.Now()
	a.token = a.issuer.Token(a.key.Bound(), popauthtest.Claims{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix()})
	if d.Replay == nil {
		d.Replay = a.store
	}
	keys, err := popauth.StaticKeys(a.issuer.JWKS()) // no fetch that a busy machine could make late
	if err != nil {
		t.Fatal(err)
	}
	o := a.issuer.Options()
	o.Keys = keys
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, proofs(d)}
	o.Deny = func(_ http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last = e
	}
	for _, f := range change {
		f(&o)
	}
	if a.guard, err = popauth.New(o); err != nil {
		t.Fatal(err)
	}
	a.handler = a.guard.Authenticate(a.spy)
	return a
}

var proofChallenges = func() map[popauth.Reason]string {
	all := map[popauth.Reason]string{
		popauth.ErrProofKey: `DPoP error="invalid_token", error_description="Possession of the key that the access token is bound to was not proven", ` + dpopAlgs,
	}
	for reason, description := range map[popauth.Reason]string{
		popauth.ErrProofMissing:   "A DPoP proof is needed with this access token",
		popauth.ErrProofMalformed: "The DPoP proof is malformed",
		popauth.ErrProofAlgorithm: "The DPoP proof is not valid for this request",
		popauth.ErrProofSignature: "The DPoP proof is not valid for this request",
		popauth.ErrProofTarget:    "The DPoP proof is not valid for this request",
		popauth.ErrProofToken:     "The DPoP proof is not valid for this request",
		popauth.ErrProofTime:      "The DPoP proof is too old or from the future",
		popauth.ErrProofReplayed:  "The DPoP proof was used before",
	} {
		all[reason] = `DPoP error="invalid_dpop_proof", error_description="` + description + `", ` + dpopAlgs
	}
	all[popauth.ErrNonceRequired] = `DPoP error="use_dpop_nonce", error_description="A nonce is needed in the DPoP proof", ` + dpopAlgs
	return all
}()

const dpopAlgs = `algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"`
