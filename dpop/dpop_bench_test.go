package dpop_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/dpop"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/popauthtest"
)

// BenchmarkDPoP is a whole request beside the signature verifications that it can't do without, in one run: x/verify is
// how many times as long it takes. These are the token's and the proof's, or, behind a Verifier that remembers the
// token, the proof's alone.
func BenchmarkDPoP(b *testing.B) {
	for _, algs := range [][2]string{
		{"ES256", "ES256"}, {"RS256", "ES256"}, {"EdDSA", "EdDSA"}, {"RS256", "RS256"},
		{"remembered", "ES256"}, {"remembered", "EdDSA"}, {"remembered", "RS256"},
	} {
		b.Run(algs[0]+"+"+algs[1], func(b *testing.B) {
			remembered := algs[0] == "remembered"
			if remembered {
				algs[0] = "ES256"
			}
			const distinct = 512 // enough not to be signed anew for each run, few enough to be made quickly
			issuer := popauthtest.NewIssuer(b, algs[0])
			key := popauthtest.NewProofKey(b, algs[1])
			token := issuer.Token(key.Bound())
			store := &lab.UsedProofs{Until: map[string]time.Time{}}
			o := issuer.Options()
			if remembered {
				once, err := popauth.TrustJWT(token)
				if err != nil {
					b.Fatal(err)
				}
				o = popauth.Options{Verifier: lab.VerifierFunc(func(context.Context, string) (*popauth.Token, error) { return once, nil })}
			}
			o.Confirmers = []popauth.Confirmer{lab.Proofs(dpop.Options{Replay: store, MaxAge: 10 * time.Minute})}
			guard, err := popauth.New(o)
			if err != nil {
				b.Fatal(err)
			}
			h := guard.Confirm(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			requests := make([]*http.Request, distinct)
			for i := range requests {
				requests[i] = key.Request("GET", lab.DPoPURL, token)
			}
			verify := lab.Verifier(b, issuer, key, token, requests[0].Header.Get("DPoP"), !remembered)
			n := 0
			run := func() {
				if n%distinct == 0 {
					clear(store.Until)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, requests[n%distinct])
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
				n++
			}
			run()
			// Alternating, so that both meet the same machine.
			var raw, whole time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				run()
				middle := time.Now()
				whole += middle.Sub(start)
				b.StopTimer()
				start = time.Now()
				verify()
				raw += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(whole)/float64(raw), "x/verify")
			b.ReportMetric(float64(raw.Nanoseconds())/float64(b.N), "verify-ns/op")
		})
	}
}
