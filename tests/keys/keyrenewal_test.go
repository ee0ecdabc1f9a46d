package keys_test

import (
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// A rotation of an issuer whose tokens name no key, or name every key alike, is found as fast as any.
func TestRotationUnderOneName(t *testing.T) {
	for _, tt := range []struct {
		name, kid string
		header    popauthtest.Claims
	}{
		{name: "no kid in tokens", kid: "only", header: popauthtest.Claims{"kid": popauthtest.Omit}},
		{name: "no kid at all", header: popauthtest.Claims{"kid": popauthtest.Omit}},
		{name: "a kid that is used again", kid: "only", header: popauthtest.Claims{"kid": "only"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issuer := lab.NewMemoryIssuer(t)
			issuer.Named(tt.kid)
			issuer.Takes(time.Second)
			synctest.Test(t, func(t *testing.T) {
				api := lab.NewKeyedAPI(t, issuer.URL, issuer.KeySet(t, popauth.RemoteKeysOptions{}), nil)
				token := func(claims ...popauthtest.Claims) string {
					all := append([]popauthtest.Claims{{"exp": time.Now().Add(1000 * time.Hour).Unix()}}, claims...)
					return issuer.TokenWith(tt.header, all...)
				}
				old := token()
				api.Want(t, old, 200)
				api.Want(t, lab.WithBadSignature(old), 401) // the keys are younger than Cooldown: no call
				time.Sleep(time.Minute)
				issuer.Rotate()
				wantCalls(t, issuer, "before", 2)
				for _, unfit := range []string{token(popauthtest.Claims{"aud": "other"}), token(popauthtest.Claims{"exp": 1}),
					token(popauthtest.Claims{"iss": "https://other"}),
					token(popauthtest.Claims{"nbf": time.Now().Add(time.Hour).Unix()})} {
					api.Want(t, unfit, 401)
				}
				wantCalls(t, issuer, "for tokens that don't pass anyway", 0)
				if got := api.Crowd(t, slices.Repeat([]string{token()}, 20)); got[200] != 20 {
					t.Errorf("20 of the new key: got %v (200, 401, 503)", got)
				}
				wantCalls(t, issuer, "for the new key", 2)
				api.Want(t, old, 401)
				wantCalls(t, issuer, "for the old key, younger than Cooldown", 0)

				// Whoever sends wrong signatures makes the API fetch once in Cooldown, and keeps nobody out.
				began := time.Now()
				for n := range 600 {
					api.Want(t, lab.WithBadSignature(token()), 401)
					if n == 300 {
						issuer.Rotate()
					}
					time.Sleep(100 * time.Millisecond)
				}
				synctest.Wait()
				if got, most := issuer.Calls.Swap(0), 2*int64(time.Since(began)/(10*time.Second)+1); got > most {
					t.Errorf("calls in %v of wrong signatures: got %d, want %d at most", time.Since(began), got, most)
				}
				api.Want(t, token(), 200)
				time.Sleep(time.Minute)
			})
		})
	}
}

// A key that is replaced by one of another kind under its name is found, too, and with the issuer out of reach a wrong
// signature is a wrong signature, at once from the second on.
func TestRotationToAnotherKind(t *testing.T) {
	before, after := lab.NewMemoryIssuer(t, "ES256"), lab.NewMemoryIssuer(t, "EdDSA")
	before.Named("only")
	synctest.Test(t, func(t *testing.T) {
		api := lab.NewKeyedAPI(t, before.URL, before.KeySet(t, popauth.RemoteKeysOptions{}), nil)
		api.Want(t, before.TokenWith(popauthtest.Claims{"kid": "only"}), 200)
		time.Sleep(time.Minute)
		after.Named("only")
		before.Handle("/jwks", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			after.Server.Config.Handler.ServeHTTP(w, r)
		}))
		token := after.TokenWith(popauthtest.Claims{"kid": "only"}, popauthtest.Claims{"iss": before.URL})
		api.Want(t, token, 200)
		before.Fails(lab.Unreachable)
		time.Sleep(time.Minute)
		api.Want(t, lab.WithBadSignature(token), 401)
		before.Takes(time.Second)
		if got := api.Waited(t, lab.WithBadSignature(token), 401); got != 0 {
			t.Errorf("waited %v for an issuer that has just failed", got)
		}
		api.Want(t, token, 200)
		time.Sleep(time.Minute)
	})
}

// A token that names no key costs three verifications at most, however many keys there are.
func TestUnnamedAmongMany(t *testing.T) {
	cost := func(n int) int64 {
		var signers []keySigner
		for range n {
			signers = append(signers, newKeySigner(t, nil))
		}
		keys := setFrom(t, signers...)
		v, err := popauth.NewJWTVerifier(popauth.JWTOptions{Issuer: somewhere, Audience: []string{popauthtest.Audience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		token := signers[0].token(t, nil)
		if _, err := v.Verify(t.Context(), token); (err == nil) != (n == 1) {
			t.Errorf("%d keys: got %v", n, err)
		}
		result := testing.Benchmark(func(b *testing.B) {
			for range b.N {
				_, _ = v.Verify(b.Context(), lab.WithBadSignature(token))
			}
		})
		if _, err := choose(t, keys, map[string]any{"alg": "ES256"}); (err == nil) != (n <= 3) {
			t.Errorf("%d keys, by golang-jwt: got %v, want three to be tried at most", n, err)
		}
		return result.AllocedBytesPerOp()
	}
	few, many := cost(3), cost(200)
	t.Logf("bytes for a token that names no key: %d among 3, %d among 200", few, many)
	if many > few {
		t.Errorf("got %d bytes among 200 keys, %d among 3", many, few)
	}
	_ = cost(1)
}
