package popauth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/popauthtest"
)

const ()

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
