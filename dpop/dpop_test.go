package dpop_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
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
	a := lab.NewDPoPAPI(t, dpop.Options{})
	a.Spy.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, ok := popauth.FromContext(r.Context())
		if want := (popauth.Binding{Member: "jkt", Value: a.Key.Thumbprint()}); !ok || len(p.Bindings) != 1 || p.Bindings[0] != want {
			t.Errorf("got %+v, want bound by %v", p, want)
		}
	})
	w := a.Accept(t, a.Request())
	if w.Header()["Dpop-Nonce"] != nil || w.Header()["Www-Authenticate"] != nil {
		t.Errorf("headers: got %v, want neither nonce nor challenge", w.Header())
	}
	// Every stage alone, and all of them, on one proof each.
	for name, h := range map[string]http.Handler{
		"Confirm":   a.Guard.Confirm(a.Spy),
		"Authorize": a.Guard.Authorize(popauth.BoundBy("jkt"))(a.Spy),
		"all":       a.Guard.Authenticate(a.Guard.Confirm(a.Guard.Authorize(popauth.BoundBy("jkt"))(a.Spy))),
	} {
		t.Run(name, func(t *testing.T) {
			a.Handler = h
			r := a.Request()
			a.Accept(t, r)
			a.RefuseProof(t, r, popauth.ErrProofReplayed)
		})
	}
	if _, err := a.Guard.Check(a.Request()); err != nil {
		t.Error(err)
	}
}

func TestDPoPFieldNameAndSchemeInAnyCase(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dpOP"} {
		r := a.Request()
		r.Header.Set("Authorization", scheme+" "+a.Token)
		a.Accept(t, r)
	}
	server := popauthtest.NewServer(t, a.Handler)
	url := server.URL + "/orders"
	for _, name := range []string{"DPoP", "DPOP", "dpop"} {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{"DPoP " + a.Token}
		r.Header[name] = []string{a.Key.Proof("GET", url, a.Token)}
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
	open := lab.NewDPoPAPI(t, dpop.Options{Algorithms: all})
	standard := lab.NewDPoPAPI(t, dpop.Options{})
	for _, alg := range all {
		key := popauthtest.NewProofKey(t, alg)
		key.Now = open.Clock.Now
		for _, a := range []*lab.DPoPAPI{open, standard} {
			a.Key = key
			a.Token = a.Issuer.Token(key.Bound())
			if a == open || strings.Contains(lab.DPoPAlgs, alg) {
				a.Accept(t, a.Request())
			} else {
				a.RefuseProof(t, a.Request(), popauth.ErrProofAlgorithm)
				want := `alg of the proof is "` + alg + `", want "ES256" or "ES384" or "Ed25519" or "EdDSA" or "PS256" or "RS256": `
				if got := a.Last.Error(); !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		}
	}
	// RFC 9864: EdDSA and Ed25519 are one.
	one := lab.NewDPoPAPI(t, dpop.Options{Algorithms: []string{"EdDSA"}})
	one.Key = popauthtest.NewProofKey(t, "Ed25519")
	one.Key.Now = one.Clock.Now
	one.Token = one.Issuer.Token(one.Key.Bound())
	one.Accept(t, one.Request())
	one.Accept(t, one.With(one.Key.ProofWith(popauthtest.Claims{"alg": "EdDSA"}, "GET", lab.DPoPURL, one.Token)))
}

// The proof's key is the request's own: nothing of it is shared between requests.
func TestDPoPManyKeysAtOnce(t *testing.T) {
	a := lab.NewDPoPAPI(t, dpop.Options{})
	var wg sync.WaitGroup
	for range 10 {
		key := popauthtest.NewProofKey(t, "")
		key.Now = a.Clock.Now
		token := a.Issuer.Token(key.Bound())
		wg.Go(func() {
			for range 20 {
				if w := a.Serve(key.Request("GET", lab.DPoPURL, token)); w.Code != http.StatusOK {
					t.Errorf("got %d", w.Code)
				}
			}
		})
	}
	wg.Wait()
	if a.Spy.Ran() != 200 {
		t.Errorf("ran %d times, want 200", a.Spy.Ran())
	}
}
