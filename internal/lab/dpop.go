package lab

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

const DPoPURL = "https://api.example.com/orders"

// DPoPAPI is an API that takes tokens under Bearer and DPoP, with a client that has a key and a token bound to it.
type DPoPAPI struct {
	t       testing.TB
	Issuer  *popauthtest.Issuer
	Key     *popauthtest.ProofKey
	Token   string
	Clock   *popauthtest.Clock
	Store   *UsedProofs
	Spy     *popauthtest.Spy
	Guard   *popauth.Guard
	Handler http.Handler

	mu   sync.Mutex
	Last *popauth.Error // of the request refused last
}

// Request is a good one: GET dpopURL with the token and a fresh proof.
func (a *DPoPAPI) Request(claims ...popauthtest.Claims) *http.Request {
	return a.Key.Request("GET", DPoPURL, a.Token, claims...)
}

// With is a request with this proof instead.
func (a *DPoPAPI) With(proof string) *http.Request {
	r := a.Request()
	r.Header.Set("DPoP", proof)
	return r
}

func (a *DPoPAPI) Serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.Handler.ServeHTTP(w, r)
	return w
}

// Accept asserts that the handler ran.
func (a *DPoPAPI) Accept(t testing.TB, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	before := a.Spy.Ran()
	w := a.Serve(r)
	if w.Code != http.StatusOK || a.Spy.Ran() != before+1 {
		t.Errorf("got %d, handler ran %d times, want 200 and once: %v", w.Code, a.Spy.Ran()-before, a.Last)
	}
	return w
}

// RefuseLine asserts that a request is refused for its request line.
func (a *DPoPAPI) RefuseLine(t testing.TB, r *http.Request) {
	t.Helper()
	a.Refuse(t, r, popauth.ErrRequestLine, http.StatusBadRequest)
}

// Refuse asserts that the handler did not run, why, what was answered, and that nothing was marked as used.
func (a *DPoPAPI) Refuse(t testing.TB, r *http.Request, reason popauth.Reason, status int,
	challenges ...string) *httptest.ResponseRecorder {
	t.Helper()
	ran, used := a.Spy.Ran(), a.Store.Len()
	a.Last = nil
	w := a.Serve(r)
	if a.Spy.Ran() != ran {
		t.Fatalf("VULNERABLE: the handler ran, want %s", reason)
	}
	if w.Code != status || !errors.Is(a.Last, reason) || a.Last.Reason != reason {
		t.Errorf("got %d %v, want %d %s", w.Code, a.Last, status, reason)
	}
	if got := w.Header()["Www-Authenticate"]; strings.Join(got, "\n") != strings.Join(challenges, "\n") {
		t.Errorf("challenges: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(challenges, "\n"))
	}
	if a.Store.Len() != used {
		t.Error("a refused request has used the proof up")
	}
	return w
}

// RefuseProof is refuse for what is wrong with the proof.
func (a *DPoPAPI) RefuseProof(t testing.TB, r *http.Request, reason popauth.Reason) *httptest.ResponseRecorder {
	t.Helper()
	return a.Refuse(t, r, reason, http.StatusUnauthorized, ProofChallenges[reason], "Bearer")
}

// UsedProofs is a ReplayStore that can be looked at.
type UsedProofs struct {
	sync.Mutex
	Until map[string]time.Time
	Keys  map[string]int // how many ids of each
	Err   error
}

func (s *UsedProofs) Use(_ context.Context, key, id string, until time.Time) (bool, error) {
	s.Lock()
	defer s.Unlock()
	if s.Err != nil {
		return false, s.Err
	}
	if _, used := s.Until[id]; used {
		return false, nil
	}
	s.Until[id] = until
	if s.Keys == nil {
		s.Keys = map[string]int{}
	}
	s.Keys[key]++
	return true, nil
}

func (s *UsedProofs) Len() int {
	s.Lock()
	defer s.Unlock()
	return len(s.Until)
}

// RefuseOnly asserts that the handler did not run.
func (a *DPoPAPI) RefuseOnly(t testing.TB, r *http.Request) {
	t.Helper()
	before := a.Spy.Ran()
	if w := a.Serve(r); w.Code != http.StatusUnauthorized || a.Spy.Ran() != before {
		t.Errorf("got %d, handler ran %d times", w.Code, a.Spy.Ran()-before)
	}
}

// Fields are members of a proof.
type Fields = popauthtest.Claims

// Verifier returns what verifies the signatures of proof and, if both, of token, and does nothing else.
func Verifier(b *testing.B, issuer *popauthtest.Issuer, key *popauthtest.ProofKey, token, proof string, both bool) func() {
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

// FuzzTB may be asked for help from inside a fuzz target, where an F may not.
type FuzzTB struct{ testing.TB }

func (FuzzTB) Helper() {}

// Given is the nonce of a response, which must have exactly one, and be kept by no cache.
func Given(t *testing.T, header http.Header) string {
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

func NonceSecret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func Nonces(secrets ...[]byte) dpop.StatelessNonces {
	return dpop.StatelessNonces{Secrets: secrets}
}

func NewDPoPAPI(t testing.TB, d dpop.Options, change ...func(*popauth.Options)) *DPoPAPI {
	t.Helper()
	a := &DPoPAPI{
		t:      t,
		Issuer: popauthtest.NewIssuer(t),
		Key:    popauthtest.NewProofKey(t, ""),
		Clock:  popauthtest.NewClock(time.Unix(1_800_000_000, 0)),
		Store:  &UsedProofs{Until: map[string]time.Time{}},
		Spy:    &popauthtest.Spy{},
	}
	a.Issuer.Now, a.Key.Now = a.Clock.Now, a.Clock.Now
	now := a.Clock.Now()
	a.Token = a.Issuer.Token(a.Key.Bound(), popauthtest.Claims{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix()})
	if d.Replay == nil {
		d.Replay = a.Store
	}
	keys, err := popauth.StaticKeys(a.Issuer.JWKS()) // no fetch that a busy machine could make late
	if err != nil {
		t.Fatal(err)
	}
	o := a.Issuer.Options()
	o.Keys, o.Observe = keys, Note
	o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, Proofs(d)}
	o.Deny = func(_ http.ResponseWriter, _ *http.Request, e *popauth.Error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.Last = e
	}
	for _, f := range change {
		f(&o)
	}
	if a.Guard, err = popauth.New(o); err != nil {
		t.Fatal(err)
	}
	a.Handler = a.Guard.Authenticate(a.Spy)
	return a
}

var ProofChallenges = func() map[popauth.Reason]string {
	all := map[popauth.Reason]string{
		popauth.ErrProofKey: `DPoP error="invalid_token", error_description="Possession of the key that the access token is bound to ` +
			`was not proven", ` + DPoPAlgs,
	}
	for reason, description := range map[popauth.Reason]string{
		popauth.ErrProofMissing:   "A DPoP proof is needed with this access token",
		popauth.ErrProofMalformed: "The DPoP proof is malformed",
		popauth.ErrProofAlgorithm: "The algorithm of the DPoP proof is not one of algs, or not its key's",
		popauth.ErrProofSignature: "The DPoP proof is not valid for this request",
		popauth.ErrProofTarget:    "The DPoP proof is not valid for this request",
		popauth.ErrProofToken:     "The DPoP proof is not valid for this request",
		popauth.ErrProofTime:      "The DPoP proof is too old or from the future",
		popauth.ErrProofReplayed:  "The DPoP proof was used before",
	} {
		all[reason] = `DPoP error="invalid_dpop_proof", error_description="` + description + `", ` + DPoPAlgs
	}
	all[popauth.ErrNonceRequired] = `DPoP error="use_dpop_nonce", error_description="A nonce is needed in the DPoP proof", ` + DPoPAlgs
	return all
}()

const DPoPAlgs = `algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"`
