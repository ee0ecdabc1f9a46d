package popauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const (
	dpopURL  = "https://api.example.com/orders"
	dpopAlgs = `algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"`
)

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

// decodeProof returns header and payload of a proof.
func decodeProof(t testing.TB, proof string) (header, payload popauthtest.Claims) {
	t.Helper()
	parts := strings.Split(proof, ".")
	for i, into := range []*popauthtest.Claims{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

func TestDPoP(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	a.spy.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, ok := popauth.FromContext(r.Context())
		if want := (popauth.Binding{Member: "jkt", Value: a.key.Thumbprint()}); !ok || len(p.Bindings) != 1 || p.Bindings[0] != want {
			t.Errorf("got %+v, want bound by %v", p, want)
		}
	})
	w := a.accept(t, a.request())
	if w.Header()["Dpop-Nonce"] != nil || w.Header()["Www-Authenticate"] != nil {
		t.Errorf("headers: got %v, want neither nonce nor challenge", w.Header())
	}
	// Every stage alone, and all of them, on one proof each.
	for name, h := range map[string]http.Handler{
		"Confirm":   a.guard.Confirm(a.spy),
		"Authorize": a.guard.Authorize(popauth.BoundBy("jkt"))(a.spy),
		"all":       a.guard.Authenticate(a.guard.Confirm(a.guard.Authorize(popauth.BoundBy("jkt"))(a.spy))),
	} {
		t.Run(name, func(t *testing.T) {
			a.handler = h
			r := a.request()
			a.accept(t, r)
			a.refuseProof(t, r, popauth.ErrProofReplayed)
		})
	}
	if _, err := a.guard.Check(a.request()); err != nil {
		t.Error(err)
	}
}

func TestDPoPFieldNameAndSchemeInAnyCase(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dpOP"} {
		r := a.request()
		r.Header.Set("Authorization", scheme+" "+a.token)
		a.accept(t, r)
	}
	server := popauthtest.NewServer(t, a.handler)
	url := server.URL + "/orders"
	for _, name := range []string{"DPoP", "DPOP", "dpop"} {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{"DPoP " + a.token}
		r.Header[name] = []string{a.key.Proof("GET", url, a.token)}
		resp, err := (*popauthtest.Client)(nil).HTTP(server).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d", name, resp.StatusCode)
		}
	}
}

func TestDPoPAlgorithms(t *testing.T) {
	all := []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	open := newDPoPAPI(t, dpop.Options{Algorithms: all})
	standard := newDPoPAPI(t, dpop.Options{})
	for _, alg := range all {
		key := popauthtest.NewProofKey(t, alg)
		key.Now = open.clock.Now
		for _, a := range []*dpopAPI{open, standard} {
			a.key = key
			a.token = a.issuer.Token(key.Bound())
			if a == open || strings.Contains(dpopAlgs, alg) {
				a.accept(t, a.request())
			} else {
				a.refuseProof(t, a.request(), popauth.ErrProofAlgorithm)
			}
		}
	}
	// RFC 9864: EdDSA and Ed25519 are one.
	one := newDPoPAPI(t, dpop.Options{Algorithms: []string{"EdDSA"}})
	one.key = popauthtest.NewProofKey(t, "Ed25519")
	one.key.Now = one.clock.Now
	one.token = one.issuer.Token(one.key.Bound())
	one.accept(t, one.request())
	one.accept(t, one.with(one.key.ProofWith(popauthtest.Claims{"alg": "EdDSA"}, "GET", dpopURL, one.token)))
}

// The proof's key is the request's own: nothing of it is shared between requests.
func TestDPoPManyKeysAtOnce(t *testing.T) {
	a := newDPoPAPI(t, dpop.Options{})
	var wg sync.WaitGroup
	for range 10 {
		key := popauthtest.NewProofKey(t, "")
		key.Now = a.clock.Now
		token := a.issuer.Token(key.Bound())
		wg.Go(func() {
			for range 20 {
				if w := a.serve(key.Request("GET", dpopURL, token)); w.Code != http.StatusOK {
					t.Errorf("got %d", w.Code)
				}
			}
		})
	}
	wg.Wait()
	if a.spy.Ran() != 200 {
		t.Errorf("ran %d times, want 200", a.spy.Ran())
	}
}
